//! Files in, pods and complaints out; the published traces against the tables of their READMEs.

use super::spec::*;
use super::*;
use crate::diag::Diagnostic;
use crate::id::PodId;
use crate::rng::Stream;
use crate::stats::law::Sampler;
use crate::units::{Mib, MilliCpu, Span, Time};
use crate::workload::{Builder, Constraint, Demand, GpuDemand, PodRow, Toleration, Workload};
use proptest::prelude::*;
use std::io::Read;
use std::path::PathBuf;

fn source(format: Format) -> Source {
    Source {
        file: "t.csv".to_owned(),
        format,
        bad_rows: BadRows::Refuse,
        class: None,
        namespace: None,
        assume: Assume::default(),
        sha256: None,
    }
}

fn native(rows: &str) -> Result<Loaded, Vec<Diagnostic>> {
    read(&source(Format::Native), format!("#slicewise-trace 1\n{rows}").as_bytes())
}

/// The complaints about a file, as `line:column code`.
fn complaints(format: Format, text: &str) -> Vec<String> {
    let wrong = read(&source(format), text.as_bytes()).err().unwrap_or_default();
    for diagnostic in &wrong {
        assert!(!diagnostic.render(false).is_empty());
    }
    wrong.iter().map(|d| format!("{}:{} {}", d.line, d.column, d.code)).collect()
}

fn refused(rows: &str) -> Vec<String> {
    complaints(Format::Native, &format!("#slicewise-trace 1\n{rows}"))
}

/// A pod as a reader sees it, with all tables looked up.
type Flat = (String, Time, Span, Demand, Constraint, Option<String>, String, String, i32, u32);

fn flat(w: &Workload) -> Vec<Flat> {
    let one = |i: usize| {
        let (pod, demand) = (&w.pods[i], *w.demand(PodId::of(i)));
        let profile = match demand.gpu {
            GpuDemand::Profile(p) => Some(w.profiles[usize::from(p)].clone()),
            _ => None,
        };
        let gpu = if profile.is_some() { GpuDemand::None } else { demand.gpu };
        (
            w.names.get(PodId::of(i)).into_owned(),
            pod.arrival,
            w.truths[i].work,
            Demand { gpu, constraint: 0, ..demand },
            w.constraints[demand.constraint as usize].clone(),
            profile,
            w.classes[pod.class.index()].clone(),
            w.namespaces[pod.namespace.index()].clone(),
            pod.priority,
            pod.gang,
        )
    };
    (0..w.len()).map(one).collect()
}

#[test]
fn a_native_row_is_read_whole() {
    let loaded = native(concat!(
        "work_s,arrival_s,pod,cpu_milli,memory_mib,gpus,gpu_milli,gpu_memory_mib,profile,gpu_model,",
        "node_selector,tolerations,class,namespace,priority,gang\n",
        "1.5,7,b,500,64,,250,10240,,A100|H100|A100,zone=a;disk=,k=v:NoSchedule;j;:,train,team,-3,1\n",
        "0.000001,3,\"a,\"\"1\"\"\",,,8,,,,,,,,,,2\n",
        "2,3,c,,,,,,1g.10gb,,,,,,,0\n",
        "9,4,,,,,1000,,,,,,,,,\n",
    ))
    .expect("a right file");
    let pods = flat(&loaded.workload);
    let names: Vec<_> = pods.iter().map(|p| p.0.as_str()).collect();
    assert_eq!(names, ["a,\"1\"", "c", "pod-3", "b"]);
    assert_eq!((pods[0].1, pods[0].2, pods[0].9), (Time(3_000_000), Span(1), 2));
    assert_eq!(pods[0].3.gpu, GpuDemand::Whole { gpus: 8 });
    assert_eq!((pods[1].5.as_deref(), pods[1].9), (Some("1g.10gb"), 0));
    assert_eq!(pods[2].3.gpu, GpuDemand::Whole { gpus: 1 });
    assert_eq!((pods[2].6.as_str(), pods[2].7.as_str()), ("default", "default"));
    let b = &pods[3];
    let gpu = GpuDemand::Share { milli: 250, memory: Mib(10_240) };
    assert_eq!(b.3, Demand { cpu: MilliCpu(500), memory: Mib(64), gpu, constraint: 0 });
    assert_eq!(b.4.models, ["A100", "H100"]);
    assert_eq!(b.4.selector, [("zone".to_owned(), "a".to_owned()), ("disk".to_owned(), String::new())]);
    let toleration = |key: &str, value: Option<&str>, effect: &str| Toleration {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect: effect.to_owned(),
    };
    let tolerations =
        [toleration("k", Some("v"), "NoSchedule"), toleration("j", None, ""), toleration("", None, "")];
    assert_eq!(b.4.tolerations, tolerations);
    assert_eq!((b.6.as_str(), b.7.as_str(), b.8), ("train", "team", -3));
    assert_eq!(loaded.counts(None), Counts { rows: 4, kept: 4, pods: 4, ..Counts::default() });
}

#[test]
fn every_wrong_row_is_found_where_it_is() {
    for (rows, wanted) in [
        (
            "arrival_s,work_s\n-1,2\n1,x\n1,2\nNaN,1\n1,inf\n",
            &["3:1 bad-number", "4:3 bad-number", "6:1 bad-number", "7:3 bad-number"][..],
        ),
        ("# c\n\narrival_s,pod,work_s\n1,\"a\nb\",z\n2,ö,-\n", &["6:4 bad-number", "7:5 bad-number"]),
        ("arrival_s,work_s\n1\n1,2,3\n", &["3:1 wrong-field-count", "4:5 wrong-field-count"]),
        (
            "arrival_s,work_s\n1,9007199254.740993\n99999999999999999999,1\n",
            &["3:3 bad-number", "4:1 bad-number"],
        ),
        ("arrival_s,work_s,pod\n1,1,a\n1,1,a\n", &["4:5 duplicate-pod"]),
        (
            "arrival_s,work_s,gpus,gpu_milli\n1,1,2,500\n1,1,65536,\n1,1,,1001\n",
            &["3:7 bad-share", "4:5 bad-number", "5:6 bad-number"],
        ),
        (
            "arrival_s,work_s,profile,gpus,gpu_memory_mib\n1,1,2g,1,\n1,1,big,,\n1,1,,1,5\n",
            &["3:5 two-demands", "4:5 bad-profile", "5:8 memory-without-share"],
        ),
        (
            "arrival_s,work_s,tolerations\n1,1,a:NoShedule\n1,1,=v\n",
            &["3:5 bad-constraint", "4:5 bad-constraint"],
        ),
        (
            "arrival_s,work_s,node_selector,priority\n1,1,a,1\n1,1,,1.5\n",
            &["3:5 bad-constraint", "4:6 bad-number"],
        ),
        (
            "arrival_s,work_s,gang\n1,1,0\n1,1,2\n2,1,0\n1,1,3\n1,1,0\n1,1,1\n1,1,2\n",
            &["3:5 no-gang", "5:1 gang-arrival", "6:0 short-gang", "9:0 short-gang"],
        ),
        ("arrival_s,work_s,arrival_s\n1,1,1\n", &["2:18 duplicate-column"]),
        ("arrival_s,wrok_s\n1,1\n", &["2:11 unknown-column", "2:1 missing-column"]),
        ("arrival_s,work_s\n", &["0:0 no-rows"]),
        ("arrival_s,work_s,pod\n1,1,\"a\n1,1,b\n", &["3:5 open-quote"]),
    ] {
        assert_eq!(refused(rows), wanted, "{rows}");
    }
    assert_eq!(refused("arrival_s,work_s,pod\n1,1,\u{fffd}\n"), [""; 0]);
    let latin1 = read(&source(Format::Native), &b"#slicewise-trace 1\narrival_s,work_s,pod\n1,1,\xe9\n"[..]);
    let wrong = &latin1.expect_err("Latin-1")[0];
    assert_eq!((wrong.code, wrong.line, wrong.column), ("not-utf8", 3, 5));
}

#[test]
fn the_first_line_of_a_native_trace_is_checked() {
    for (text, wanted, help) in [
        ("", "0:0 empty-file", "first line names"),
        ("arrival_s,work_s\n1,1\n", "1:1 no-version", "starts so"),
        ("name,num_gpu\n1,1\n", "1:1 no-version", "format `openb`"),
        ("job_id,num_gpu\n1,1\n", "1:1 no-version", "format `elasticflow`"),
        ("#slicewise-trace 2\narrival_s,work_s\n1,1\n", "1:1 newer-version", "newer slicewise"),
        ("#slicewise-trace 1\n", "0:0 empty-file", "first line names"),
    ] {
        assert_eq!(complaints(Format::Native, text), [wanted], "{text}");
        let wrong = read(&source(Format::Native), text.as_bytes()).expect_err("wrong");
        assert!(wrong[0].help.as_ref().is_some_and(|h| h.contains(help)), "{text}");
    }
    let wrong = native("arrival_s,work_s,prioritty\n").expect_err("a typo");
    assert_eq!(wrong[0].help.as_deref(), Some("did you mean `priority`?"));
}

#[test]
fn many_wrong_rows_are_counted_and_few_kept() {
    let rows = format!("arrival_s,work_s\n{}", "x,1\n".repeat(1_000));
    let wrong = native(&rows).expect_err("all wrong");
    assert_eq!((wrong.len(), wrong[20].message.as_str()), (21, "980 more wrong rows, 1000 in all"));
}

#[test]
fn wrong_rows_are_skipped_when_asked_and_gangs_stay_whole() {
    let skip = Source { bad_rows: BadRows::Skip, ..source(Format::Native) };
    let rows = "#slicewise-trace 1\narrival_s,work_s,gang,pod\n1,1,,a\n1,1,3,b\n1,x,0,c\n1,1,0,d\n2,1,2,e\n2,1,0,f\n3,-,2,g\n3,1,0,h\n4,1,,i\n";
    let loaded = read(&skip, rows.as_bytes()).expect("wrong rows are skipped");
    let names: Vec<_> = flat(&loaded.workload).into_iter().map(|p| p.0).collect();
    assert_eq!(names, ["a", "e", "f", "i"]);
    let counts = loaded.counts(None);
    assert_eq!((counts.rows, counts.kept, counts.wrong, counts.dropped[BROKEN_GANG]), (9, 4, 2, 3));
    let lines: Vec<_> = loaded.warnings.iter().map(|d| d.line).collect();
    assert_eq!(lines, [5, 9]);
    assert!(!crate::diag::any_error(&loaded.warnings));
}

#[test]
fn a_file_is_known_by_its_hash() {
    let text = "#slicewise-trace 1\narrival_s,work_s\n1,1\n";
    let hash = read(&source(Format::Native), text.as_bytes()).expect("right").sha256;
    assert_eq!(hash.len(), 64);
    let named = |sha256: &str| Source { sha256: Some(sha256.to_owned()), ..source(Format::Native) };
    assert!(read(&named(&hash.to_uppercase()), text.as_bytes()).is_ok());
    let wrong = read(&named(&"0".repeat(64)), text.as_bytes()).expect_err("another file");
    assert_eq!(wrong[0].code, "sha256-mismatch");
}

#[test]
fn endless_and_unreadable_input_is_refused() {
    let endless = std::io::Cursor::new("#slicewise-trace 1\narrival_s,work_s\n").chain(std::io::repeat(b'7'));
    let wrong = read(&source(Format::Native), endless).expect_err("endless");
    assert_eq!(wrong[0].message, "line 3 is longer than 1 MiB: is this a CSV?");
    let wrong = open(&source(Format::Native), &PathBuf::from("/no/such/file")).expect_err("absent");
    assert_eq!(wrong[0].code, "unreadable");
}

#[test]
fn openb_rows_are_mapped() {
    const HEADER: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n";
    let rows = "a,1,2,1,460,P100|T4|P100,LS,Running,5,30,10\nb,1,2,0,0,,BE,Pending,6,9,\n\
                c,1,2,1,1000,,Guaranteed,Failed,4,20,20\nd,1,2,8,1000,,Burstable,Failed,9,20,19\n";
    let loaded = read(&source(Format::Openb), format!("{HEADER}{rows}").as_bytes()).expect("right");
    let pods = flat(&loaded.workload);
    let seen: Vec<_> = pods.iter().map(|p| (p.0.as_str(), p.1.0, p.2.0, p.6.as_str(), p.8)).collect();
    assert_eq!(
        seen,
        [
            ("c", 4_000_000, 0, "Guaranteed", 2),
            ("a", 5_000_000, 20_000_000, "LS", 3),
            ("d", 9_000_000, 1_000_000, "Burstable", 1)
        ]
    );
    assert_eq!(pods[1].4.models, ["P100", "T4"]);
    assert_eq!(pods[2].3.gpu, GpuDemand::Whole { gpus: 8 });
    let counts = loaded.counts(Some(&Window { from: Span::from_secs(5), to: Some(Span::from_secs(9)) }));
    assert_eq!((counts.rows, counts.kept, counts.dropped[PENDING]), (2, 1, 1));
    let classed =
        Source { class: Some("x".to_owned()), namespace: Some("y".to_owned()), ..source(Format::Openb) };
    let loaded = read(&classed, format!("{HEADER}{rows}").as_bytes()).expect("right");
    assert_eq!(
        (loaded.workload.classes, loaded.workload.namespaces),
        (vec!["x".to_owned()], vec!["y".to_owned()])
    );

    let wrong = "a,1,2,1,0,,LS,Running,5,30,10\nb,1,2,0,5,,LS,Running,6,9,7\nc,1,2,1,5,,ls,Running,4,20,20\nd,1,2,1,5,,LS,Running,4,19,20\n";
    let found = complaints(Format::Openb, &format!("{HEADER}{wrong}"));
    assert_eq!(found, ["2:9 no-share", "3:9 no-gpu", "4:12 bad-qos", "5:25 negative-span"]);
    let untimed = complaints(Format::Openb, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,1000\n");
    assert_eq!(untimed, ["1:1 no-times"]);
}

#[test]
fn node_lists_are_read() {
    let nodes = read_nodes("n.csv", &b"sn,cpu_milli,memory_mib,gpu,model\na,1,2,0,\nb,3,4,8,G2\n"[..])
        .expect("right");
    assert_eq!(
        nodes[1],
        NodeRow { name: "b".to_owned(), cpu: MilliCpu(3), memory: Mib(4), gpus: 8, model: "G2".to_owned() }
    );
    let text = "sn,cpu_milli,memory_mib,gpu,model\na,1,2,1,\na,1,2,0,\nb,1,2,0,\nb,1,2,0,\nc,1\n";
    let wrong = read_nodes("n.csv", text.as_bytes()).expect_err("wrong");
    let codes: Vec<_> = wrong.iter().map(|d| (d.line, d.code)).collect();
    assert_eq!(codes, [(2, "bad-node"), (5, "duplicate-node"), (6, "wrong-field-count")]);
}

#[test]
fn job_logs_are_mapped() {
    let columns = Columns {
        name: Some("id".to_owned()),
        arrival: "submit".to_owned(),
        start: Some("start".to_owned()),
        end: Some("end".to_owned()),
        gpus: Some("gpus".to_owned()),
        memory_gib: Some("ram".to_owned()),
        class: Some("queue".to_owned()),
        time_unit: Span(60_000_000),
        ..Columns::default()
    };
    let text =
        "id,user,submit,start,end,gpus,ram,queue\na,u,1,2,3.5,12,10,q\nb,u,0,0,1,0.5,1.5,\nc,u,2,,,1,1,q\n";
    let loaded = read(&source(Format::Jobs(columns.clone())), text.as_bytes()).expect("right");
    let pods = flat(&loaded.workload);
    let seen: Vec<_> = pods
        .iter()
        .map(|p| (p.0.as_str(), p.1.0, p.2.0, p.3.cpu.0, p.3.memory.0, p.6.as_str(), p.9))
        .collect();
    assert_eq!(
        seen,
        [
            ("b", 0, 60_000_000, 6_000, 1_536, "default", 1),
            ("a/0", 60_000_000, 90_000_000, 96_000, 6_826, "q", 2),
            ("a/1", 60_000_000, 90_000_000, 48_000, 3_414, "q", 0),
        ]
    );
    let counts = loaded.counts(None);
    assert_eq!((counts.rows, counts.kept, counts.pods, counts.dropped[NEVER_RAN]), (3, 2, 3, 1));

    let wrong =
        "id,submit,start,end,gpus,ram,queue\na,1,3,2,1,1,\nb,1,1,2,1.5,1,\nc,2017-10-04 12:00,1,1,1,1,\n";
    let found = complaints(Format::Jobs(columns.clone()), wrong);
    assert_eq!(found, ["2:7 negative-span", "3:9 bad-gpus", "4:3 bad-number"]);
    let missing = complaints(Format::Jobs(columns.clone()), "id,submit,start,end,gpu,queue\n");
    assert_eq!(missing, ["1:1 missing-column", "1:1 missing-column"]);
    let without = Columns { start: None, ..columns };
    assert_eq!(
        complaints(Format::Jobs(without), "id,submit,start,end,gpus,ram,queue\n"),
        ["0:0 no-run-time"]
    );
}

/// A few pods of every kind, among them a gang, by draws from `seed`.
fn mixed(seed: u64, pods: u64) -> Workload {
    let mut builder = Builder::new();
    let profile = ["1g", "1g.10gb+me"].map(|name| builder.profile(name));
    let constraint = builder.constraint(Constraint {
        models: vec!["A100".to_owned(), "H100".to_owned()],
        selector: vec![("zone".to_owned(), "a b,c".to_owned())],
        tolerations: vec![
            Toleration { key: "k".to_owned(), value: Some(String::new()), effect: String::new() },
            Toleration { key: String::new(), value: None, effect: "NoExecute".to_owned() },
            Toleration::default(),
        ],
    });
    for pod in 0..pods {
        let mut stream = Stream::new(seed, "mixed", pod);
        let gpu = match stream.below(5) {
            0 => GpuDemand::None,
            1 => GpuDemand::Share { milli: 1 + stream.below(999) as u16, memory: Mib(stream.below(3)) },
            2 => GpuDemand::Whole { gpus: 1 + stream.below(9) as u16 },
            kind => profile[kind as usize - 3],
        };
        let size = if stream.below(4) == 0 { 1 + stream.below(4) } else { 1 };
        let row = PodRow {
            name: "",
            arrival: Time(stream.below(5_000_000)),
            work: Span(stream.below(1 << 40)),
            cpu: MilliCpu(stream.below(3)),
            memory: Mib(stream.below(3)),
            gpu,
            constraint: if stream.below(2) == 0 { 0 } else { constraint },
            class: ["default", "train", "a \"b\", c\nd"][stream.below(3) as usize],
            namespace: ["default", "team"][stream.below(2) as usize],
            priority: stream.below(3) as i32 - 1,
            gang: size as u32,
        };
        for member in 0..size {
            let name = format!("p{pod}{}", ["", ",", "\"", "\n"][member as usize]);
            let gang = if member == 0 { row.gang } else { 0 };
            builder.push(&PodRow { name: &name, gang, ..row.clone() });
        }
    }
    builder.finish()
}

fn written(workload: &Workload) -> Vec<u8> {
    let mut text = Vec::new();
    write_native(workload, &mut text).expect("a vector takes all bytes");
    text
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(seed: u64, pods in 1_u64..40) {
        let workload = mixed(seed, pods);
        let text = written(&workload);
        let loaded = read(&source(Format::Native), text.as_slice()).expect("our own file");
        prop_assert_eq!(flat(&loaded.workload), flat(&workload));
        prop_assert_eq!(written(&loaded.workload), text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(#slicewise-trace 1\n)?(arrival_s|work_s|pod|gang|gpus|[,\n\"#x0-9.-]){0,40}") {
        for format in [Format::Native, Format::Openb, Format::Elasticflow] {
            let _ = read(&source(format), text.as_bytes());
        }
        let _ = read_nodes("n", text.as_bytes());
    }

    #[test]
    fn changes_keep_gangs_whole_and_order(seed: u64, share in 0.05_f64..1.0, scale in 0.001_f64..50.0) {
        let workload = mixed(seed, 30);
        let changes = Changes {
            window: Some(Window { from: Span(1_000_000), to: Some(Span(4_000_000)) }),
            draw: Some(Draw::Sample(share)),
            time_scale: scale,
            ..Changes::default()
        };
        let changed = apply(&workload, &changes, seed);
        prop_assert!(changed.pods.is_sorted_by_key(|p| p.arrival));
        prop_assert_eq!(change::gangs(&changed).map(|g| g.len()).sum::<usize>(), changed.len());
        let last = changed.pods.last().map_or(0, |p| p.arrival.0);
        prop_assert!(last as f64 <= 3e6 * scale + 1.0);
        // Without the window the same pods are drawn, and more.
        let wider = apply(&workload, &Changes { window: None, ..changes }, seed);
        let names = |w: &Workload| flat(w).into_iter().map(|p| p.0).collect::<std::collections::BTreeSet<_>>();
        prop_assert!(names(&changed).is_subset(&names(&wider)));
    }
}

#[test]
fn columns_that_nobody_uses_are_not_written() {
    let workload = native("arrival_s,work_s\n1.25,0\n").expect("right").workload;
    assert_eq!(
        String::from_utf8(written(&workload)).expect("text"),
        "#slicewise-trace 1\npod,arrival_s,work_s\npod-0,1.25,0\n"
    );
}

#[test]
fn a_name_like_a_comment_is_written_in_quotes() {
    let workload = native("arrival_s,work_s,pod\n1,0,#a\n").expect("right").workload;
    let text = written(&workload);
    assert_eq!(String::from_utf8_lossy(&text), "#slicewise-trace 1\npod,arrival_s,work_s\n\"#a\",1,0\n");
    let again = read(&source(Format::Native), text.as_slice()).expect("our own file").workload;
    assert_eq!(flat(&again), flat(&workload));
}

#[test]
fn changes_do_what_they_say() {
    let workload = native("arrival_s,work_s,class,gang\n0,5,a,\n10,8,b,2\n10,8,a,0\n20,100,a,\n30,1,c,\n")
        .expect("right")
        .workload;
    let changes = Changes {
        window: Some(Window { from: Span::from_secs(10), to: Some(Span::from_secs(30)) }),
        only_classes: vec!["a".to_owned(), "b".to_owned()],
        time_scale: 0.5,
        load_scale: 4.0,
        work_cap: Some(Span::from_secs(20)),
        ..Changes::default()
    };
    let seen: Vec<_> =
        flat(&apply(&workload, &changes, 1)).into_iter().map(|p| (p.0, p.1.0, p.2.0, p.9)).collect();
    let wanted =
        [("pod-1", 0, 4_000_000, 2), ("pod-2", 0, 4_000_000, 0), ("pod-3", 1_250_000, 20_000_000, 1)];
    assert_eq!(seen, wanted.map(|(name, at, work, gang)| (name.to_owned(), at, work, gang)));
    assert_eq!(flat(&apply(&workload, &Changes::default(), 1)), flat(&workload));
}

#[test]
fn a_bootstrap_draws_whole_jobs_under_its_own_clock() {
    let workload = mixed(5, 40);
    let arrivals = Arrivals::Poisson { per_hour: 60.0 };
    let changes = Changes { draw: Some(Draw::Bootstrap { pods: 3_000, arrivals }), ..Changes::default() };
    let drawn = apply(&workload, &changes, 9);
    assert_eq!(change::gangs(&drawn).count(), 3_000);
    let hours = drawn.pods.last().expect("3000").arrival.as_secs_f64() / 3_600.0;
    assert!((hours - 50.0).abs() < 4.0, "{hours}");
    let originals = flat(&workload);
    for pod in flat(&drawn) {
        let (name, _) = pod.0.rsplit_once('#').expect("a draw has its number");
        let original = originals.iter().find(|p| p.0 == name).expect("drawn from the trace");
        assert_eq!((&original.2, &original.3, &original.5, &original.6), (&pod.2, &pod.3, &pod.5, &pod.6));
    }
    assert_eq!(flat(&drawn), flat(&apply(&workload, &changes, 9)));
    assert!(apply(&Workload::default(), &changes, 9).is_empty());
}

#[test]
fn merging_keeps_order_and_makes_names_unique() {
    let part =
        |rows: &str| native(&format!("arrival_s,work_s,pod,gang,profile\n{rows}")).expect("right").workload;
    let merged = merge(&[part("2,1,a,2,2g\n2,1,b,0,1g\n"), part("1,1,a,,1g\n2,1,c,,2g\n3,1,,,\n")]);
    let seen: Vec<_> = flat(&merged).into_iter().map(|p| (p.0, p.5.unwrap_or_default(), p.9)).collect();
    let wanted = [("a@2", "1g", 1), ("a", "2g", 2), ("b", "1g", 0), ("c", "2g", 1), ("pod-2", "", 1)];
    assert_eq!(seen, wanted.map(|(name, profile, gang)| (name.to_owned(), profile.to_owned(), gang)));
}

fn class(name: &str, weight: f64, gpu: GpuSpec, work: Law) -> ClassSpec {
    ClassSpec {
        name: name.to_owned(),
        weight,
        cpu: MilliCpu(1_000),
        memory: Mib(1),
        gpu,
        work,
        priority: 0,
        namespace: "default".to_owned(),
    }
}

#[test]
fn laws_have_their_means_and_variations() {
    let mean = Span::from_secs(100);
    // A Pareto of shape a cut at h from least l: E[xᵏ] = a lᵏ/(a−k) · (1−(l/h)^(a−k)) / (1−(l/h)^a).
    let (a, l, h) = (2.5, 60.0, 6_000.0);
    let moment = |k: f64| {
        let tail = |power: f64| 1.0 - libm::pow(l / h, power);
        a * libm::pow(l, k) / (a - k) * tail(a - k) / tail(a)
    };
    let pareto = Law::Pareto { mean, shape: a, max: Span::from_secs(6_000) };
    let (m1, m2) = (moment(1.0), moment(2.0));
    for (law, wanted_mean, wanted_scv) in [
        (Law::Constant { mean }, 100.0, 0.0),
        (Law::Exponential { mean }, 100.0, 1.0),
        (Law::Erlang { mean, stages: 4 }, 100.0, 0.25),
        (Law::Hyperexponential { mean, scv: 1.0 }, 100.0, 1.0),
        (Law::Hyperexponential { mean, scv: 9.0 }, 100.0, 9.0),
        (Law::Lognormal { mean, scv: 2.0 }, 100.0, 2.0),
        (pareto, m1, m2 / m1 / m1 - 1.0),
    ] {
        let sampler = Sampler::new(&law);
        let n = 400_000;
        let (sum, squares) = (0..n).fold((0.0, 0.0), |(sum, squares), i| {
            let x = sampler.draw(&mut Stream::new(11, "work", i)).as_secs_f64();
            (sum + x, squares + x * x)
        });
        let found = sum / n as f64;
        let scv = squares / n as f64 / found / found - 1.0;
        // Four standard errors of the mean; the variation of heavy tails settles slowly.
        let error = 4.0 * wanted_mean * f64::sqrt(wanted_scv / n as f64) + 1e-6;
        assert!((found - wanted_mean).abs() < error, "{law:?}: {found}");
        assert!((scv - wanted_scv).abs() <= 0.06 * wanted_scv + 1e-9, "{law:?}: {scv}");
    }
}

#[test]
fn arrivals_have_their_rates() {
    let burst = Span::from_secs(600);
    let bursty = Arrivals::Bursty { per_hour: 100.0, ratio: 20.0, burst, share: 0.1 };
    let diurnal = Arrivals::Diurnal { per_hour: 100.0, swing: 0.8, peak: Span::from_secs(14 * 3_600) };
    for (arrivals, cv) in
        [(Arrivals::Poisson { per_hour: 100.0 }, 1.0..1.02), (bursty, 1.5..4.0), (diurnal.clone(), 1.05..1.6)]
    {
        let one = class("c", 1.0, GpuSpec::None, Law::Constant { mean: Span(1) });
        let workload =
            generate(&Generate { pods: 200_000, arrivals: arrivals.clone(), classes: vec![one] }, 4);
        assert!(workload.pods.is_sorted_by_key(|p| p.arrival));
        let statistics = Statistics::of(&workload);
        let rate = statistics.arrivals_per_hour.expect("a span");
        assert!((rate / 100.0 - 1.0).abs() < 0.02, "{arrivals:?}: {rate}");
        let found = statistics.gap_cv.expect("gaps");
        assert!(cv.contains(&(found + 0.005)), "{arrivals:?}: {found}");
    }
    let spec = Generate {
        pods: 50_000,
        arrivals: diurnal,
        classes: vec![class("c", 1.0, GpuSpec::None, Law::Constant { mean: Span(1) })],
    };
    let mut by_hour = [0_u32; 24];
    generate(&spec, 4)
        .pods
        .iter()
        .for_each(|p| by_hour[(p.arrival.as_secs_f64() / 3_600.0) as usize % 24] += 1);
    let ratio = f64::from(by_hour[13] + by_hour[14]) / f64::from(by_hour[1] + by_hour[2]);
    assert!((7.5..10.5).contains(&ratio), "1.8 to 0.2 at the peak and the trough: {ratio}");
    let at_once = Generate { arrivals: Arrivals::AtOnce, ..spec };
    assert!(generate(&at_once, 4).pods.iter().all(|p| p.arrival == Time::ZERO));
}

#[test]
fn a_change_of_one_class_moves_no_other_draw() {
    let spec = |long: u64, milli: u16| Generate {
        pods: 2_000,
        arrivals: Arrivals::Poisson { per_hour: 10.0 },
        classes: vec![
            class(
                "a",
                3.0,
                GpuSpec::Profiles(ProfileMix::SmallHeavy),
                Law::Exponential { mean: Span::from_secs(60) },
            ),
            class(
                "b",
                1.0,
                GpuSpec::Share(vec![(milli, 1.0), (500, 1.0)]),
                Law::Exponential { mean: Span::from_secs(long) },
            ),
        ],
    };
    let (one, two) = (flat(&generate(&spec(10, 100), 8)), flat(&generate(&spec(99, 200), 8)));
    let of_a = |pods: &[Flat]| pods.iter().filter(|p| p.6 == "a").cloned().collect::<Vec<_>>();
    assert_eq!(of_a(&one), of_a(&two));
    assert_ne!(one, two);
    assert!((of_a(&one).len() as f64 / 2_000.0 - 0.75).abs() < 0.03);
    let first = of_a(&one).iter().filter(|p| p.5.as_deref() == Some("1g")).count();
    assert!((first as f64 / of_a(&one).len() as f64 - 0.4).abs() < 0.04);
    assert!(one.iter().zip(&two).all(|(x, y)| x.1 == y.1 && x.6 == y.6));
    assert_eq!(one[7].0, "pod-7");
}

#[test]
fn statistics_of_a_small_trace() {
    let workload = native(
        "arrival_s,work_s,gpus,gpu_milli,profile,cpu_milli,gang,class\n0,10,,500,,1000,,a\n10,0,1,,,0,,a\n10,30,8,,,0,2,b\n10,20,4,,,0,0,b\n40,5,,,3g,0,,a\n",
    )
    .expect("right")
    .workload;
    let s = Statistics::of(&workload);
    assert_eq!((s.all.pods, s.all.jobs, s.gangs), (5, 4, 1));
    assert_eq!(s.all.mix, Mix { cpu_only: 0, fractional: 1, one: 1, multi: 1, profile: 1 });
    let gpu_seconds = 5.0 + 240.0 + 80.0 + 15.0 / 7.0;
    assert!((s.all.gpu_hours - gpu_seconds / 3_600.0).abs() < 1e-12);
    assert_eq!((s.gpus_busy_peak, s.cpus_busy_peak), (12.0, 1.0));
    assert!((s.gpus_busy_mean.expect("a span") - gpu_seconds / 40.0).abs() < 1e-9);
    assert_eq!((s.span_s, s.end_s, s.gap_mean_s), (40.0, 45.0, Some(40.0 / 3.0)));
    assert_eq!((s.all.work.p50, s.all.work.max), (7.5, 30.0));
    assert_eq!(s.classes.iter().map(|c| c.jobs).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(s.sizes.last().map(|row| (row.gpus, row.jobs)), Some((12.0, 1)));
    assert_eq!(s.arrivals.jobs.iter().sum::<u64>(), 4);
    assert_eq!(s.arrivals.jobs[63], 1);
    let bins: Vec<_> = s.work_bins.iter().map(|b| (b.from_s, b.to_s, b.jobs)).collect();
    assert_eq!(
        bins,
        [(0.0, 1.0, 1), (1.0, 2.0, 0), (2.0, 5.0, 0), (5.0, 10.0, 1), (10.0, 20.0, 1), (20.0, 50.0, 1)]
    );
    assert!(serde_json::to_string(&s).expect("plain values").contains("\"gpu_hours\""));
    let none = Statistics::of(&Workload::default());
    assert_eq!((none.all.jobs, none.gap_cv, none.gpus_busy_peak), (0, None, 0.0));
}

/// A published trace; `None` where the checkout has no `shared/`.
fn published(format: Format, path: &str) -> Option<Loaded> {
    let path = shared(path)?;
    let loaded = open(&source(format), &path).unwrap_or_else(|wrong| panic!("{}", wrong[0].render(false)));
    assert!(loaded.warnings.is_empty());
    Some(loaded)
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn shared(path: &str) -> Option<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/traces"));
    if !root.is_dir() {
        eprintln!("skipped: no {}", root.display());
        return None;
    }
    Some(root.join(path))
}

#[test]
fn openb_is_as_its_readme_says() {
    let Some(loaded) = published(Format::Openb, "openb/openb_pod_list_default.csv") else { return };
    let counts = loaded.counts(None);
    assert_eq!((counts.rows, counts.dropped[PENDING]), (8_152, 897));
    let work = Statistics::of(&loaded.workload).all.work;
    let rounded = [work.p50, work.p90, work.p95, work.p99, work.mean].map(f64::round);
    assert_eq!(rounded, [616.0, 7_764.0, 18_064.0, 114_348.0, 28_949.0]);

    let window = Window { from: Span::from_secs(9_936_000), to: None };
    let counts = loaded.counts(Some(&window));
    assert_eq!((counts.rows, counts.dropped[PENDING], counts.pods), (8_125, 897, 7_228));
    let workload = apply(&loaded.workload, &Changes { window: Some(window), ..Changes::default() }, 0);
    assert_eq!(workload.pods[0].arrival, Time(5_376_000_000), "9,941,376 s from the window's start");
    let statistics = Statistics::of(&workload);
    assert_eq!(
        statistics.all.mix,
        Mix { cpu_only: 1_050, fractional: 2_564, one: 3_541, multi: 73, profile: 0 }
    );
    assert_eq!(format!("{:.1}", statistics.all.gpu_hours), "16389.0");
    let mean = |seconds: f64| format!("{:.3}", statistics.all.gpu_hours * 3_600.0 / seconds);
    assert_eq!(
        (mean(12_902_960.0 - 9_936_000.0), mean(12_902_960.0 - 9_941_376.0)),
        ("19.886".to_owned(), "19.922".to_owned())
    );
    let cpus = statistics.cpus_busy_mean.expect("a span") * statistics.span_s / 2_966_960.0;
    assert_eq!(format!("{cpus:.1}"), "226.6");
    assert_eq!(format!("{:.1} {:.0}", statistics.gpus_busy_peak, statistics.cpus_busy_peak), "52.4 539");
    assert_eq!(format!("{:.1}", statistics.gap_cv.expect("gaps")), "1.6");
    assert_eq!(format!("{:.0}", statistics.all.work.p99), "74960");
}

#[test]
fn every_openb_list_is_read_or_refused_for_its_reason() {
    let Some(folder) = shared("openb") else { return };
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let open = || open(&source(Format::Openb), &path);
        match name.split('_').next_back().unwrap_or_default() {
            "multigpu20.csv" | "multigpu40.csv" => {
                assert_eq!(open().expect_err("no times")[0].code, "no-times")
            }
            _ if name.starts_with("openb_pod_list") => {
                open().unwrap_or_else(|wrong| panic!("{name}: {}", wrong[0].render(false)));
            }
            _ => {}
        }
    }
    let path = shared("openb/openb_node_list_all_node.csv").expect("the folder is there");
    let nodes = read_nodes("nodes", std::fs::File::open(path).expect("a file")).expect("right");
    assert_eq!((nodes.len(), nodes.iter().map(|n| u64::from(n.gpus)).sum::<u64>()), (1_523, 6_212));
}

#[test]
fn elasticflow_is_as_its_readme_says() {
    for (cluster, jobs, gpu_hours, work, busy, gaps) in [
        ("01", 1_595, 22_740.0, "8287 29917 52940", (28.0, 330.0), "1830 7.2"),
        ("02", 5_778, 123_748.0, "6182 56615 220013", (86.0, 346.0), "893 4.8"),
        ("04", 15_802, 705_683.0, "7949 29001 257688", (494.0, 2025.0), "325 4.7"),
        ("05", 3_629, 14_303.0, "7699 16586 59785", (10.0, 341.0), "1411 12.7"),
        ("06", 2_396, 123_879.0, "4320 54300 288586", (87.0, 516.0), "2151 3.3"),
        ("09", 11_134, 39_001.0, "11764 23033 26105", (31.0, 118.0), "407 9.4"),
        ("10", 260, 4_023.0, "17761 68254 129550", (5.0, 52.0), "10957 4.3"),
    ] {
        let Some(loaded) = published(Format::Elasticflow, &format!("elasticflow-itp/cluster{cluster}.csv"))
        else {
            return;
        };
        let s = Statistics::of(&loaded.workload);
        assert_eq!((loaded.counts(None).rows, s.all.jobs), (jobs, jobs));
        assert_eq!(s.all.gpu_hours.round(), gpu_hours);
        let q = s.all.work;
        assert_eq!(format!("{:.0} {:.0} {:.0}", q.p50, q.p90, q.p99), work, "{cluster}");
        // cluster04's 494.56 stands there as 494.
        let mean = s.gpus_busy_mean.expect("a span");
        assert!((mean - busy.0).abs() < 0.6, "{cluster}: {mean}");
        assert_eq!(s.gpus_busy_peak, busy.1, "{cluster}");
        let (mean, cv) = (s.gap_mean_s.expect("gaps"), s.gap_cv.expect("gaps"));
        assert_eq!(format!("{mean:.0} {cv:.1}"), gaps, "{cluster}");
        assert!(loaded.workload.pods.iter().all(|p| p.gang <= 8));
    }
}
