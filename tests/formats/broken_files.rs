//! The broken files, by format.

use crate::broken::{A100, Broken};

/// A mig-parted file around one entry.
macro_rules! parted {
    ($entry:literal) => {
        concat!("version: v1\nmig-configs:\n  mine:\n    - ", $entry, "\n")
    };
}

/// A pod around one container's resources.
macro_rules! pod {
    ($resources:literal) => {
        concat!(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: c\n      resources: ",
            $resources,
            "\n"
        )
    };
}

/// A plugin's file with a pod that asks for something.
macro_rules! plugin {
    ($sharing:literal) => {
        concat!("version: v1\nflags: {migStrategy: none}\nsharing:\n", $sharing, "\n")
    };
}

/// A claim around one device request.
macro_rules! claim {
    ($devices:literal) => {
        concat!(
            "apiVersion: resource.k8s.io/v1\nkind: ResourceClaim\nmetadata: {name: c}\nspec:\n  devices:\n",
            $devices,
            "\n"
        )
    };
}

/// A node of two A100, with more metadata.
macro_rules! node {
    ($more:literal) => {
        concat!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: gpu-0\n  labels:\n    nvidia.com/gpu.product: NVIDIA-A100-SXM4-40GB\n    \
             nvidia.com/gpu.count: '2'\n",
            $more,
            "\n"
        )
    };
}

pub(crate) const BROKEN: &[Broken] = &[
    // mig-parted
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 3}}"),
        expected: &[
            "4:55 error infeasible: a100-40gb has no room for 1g.5gb beside 3g.20gb, 2g.10gb, 1g.5gb, 1g.5gb (nearest that fit: [3g.20gb, 2g.10gb, 1g.5gb, 1g.5gb] or [3g.20gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb] or [3g.20gb, 2g.10gb, 2g.10gb])",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.40gb: 2}}"),
        expected: &[
            "4:55 error unknown-profile: a100-40gb has no MIG profile `3g.40gb`; it has 1g.5gb, 1g.5gb+me, 1g.10gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb (did you mean `3g.20gb`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {3g.41gb: 2}}"),
        expected: &[
            "4:55 error unknown-profile: no GPU has a MIG profile `3g.41gb` (did you mean `3g.40gb`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 8}}"),
        expected: &[
            "4:55 error infeasible: a100-40gb has no room for 1g.5gb beside 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb (nearest that fit: [1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb] or [2g.10gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb] or [3g.20gb, 1g.5gb, 1g.5gb, 1g.5gb, 1g.5gb])",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true}"),
        expected: &[
            "4:7 error missing-key: missing key `mig-devices` (mig-parted wants it when MIG is on; `{}` means no slices)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-device: {1g.5gb: 7}}"),
        expected: &[
            "4:7 error missing-key: missing key `mig-devices` (mig-parted wants it when MIG is on; `{}` means no slices)",
            "4:41 error unknown-key: unknown key `mig-device` in an entry of mig-parted (did you mean `mig-devices`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: al, mig-enabled: false}"),
        expected: &["4:17 error unknown-name: `al` is not `all` (did you mean `all`?)"],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: false, mig-devices: {1g.5gb: 7}}"),
        expected: &[
            "4:55 error bad-value: slices although `mig-enabled` is false (mig-parted refuses the file; turn MIG on or leave `mig-devices` out)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g5gb: 7}}"),
        expected: &[
            "4:55 error bad-profile: `1g5gb` is no MIG profile: it is not `<slices>g.<memory>gb` (write `3g.20gb` or `1g.5gb+me`)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 4, 3g.20gb: 0}}"),
        expected: &[
            "4:66 error zero-count: a count of 0 for `3g.20gb` (with it the GPU never equals the file, and every apply cuts it anew; leave the profile out)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: -1}}"),
        expected: &["4:63 error out-of-range: `-1` is out of range; it must be 0 to 2147483647"],
    },
    Broken {
        gpus: A100,
        text: parted!("{device-filter: '0x20B0', devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}"),
        expected: &[
            "4:23 error bad-filter: `0x20B0` is no device filter: it never matches (write device and vendor as `0x20B010DE`, with `:` and a subsystem if need be)",
        ],
    },
    Broken {
        gpus: &[],
        text: parted!(
            "{device-filter: '0x20B910DE', devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}"
        ),
        expected: &[
            "4:23 warning unknown-gpu: no GPU of the catalogue with MIG has the device id `0x20B910DE` (did you mean `0x20B710DE`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: "version: v2\nmig-configs: {off: [{devices: all, mig-enabled: false}]}\n",
        expected: &["1:10 error unknown-name: `v2` is not the version `v1` (did you mean `v1`?)"],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nmig-configs:\n  all+me: [{devices: all, mig-enabled: false}]\n",
        expected: &[
            "3:3 error bad-label: `all+me` cannot be the value of the node label nvidia.com/mig.config (at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; write `+` as `.`)",
        ],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nmig-configs:\n  two:\n    - {devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}\n    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 2}}\n",
        expected: &[
            "5:7 error matched-twice: GPU 1 is cut in two ways by `two` (the later entry wins, and `assert` then fails for ever; let each GPU be matched once)",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1g.10gb: 1, 1g.5gb: 6}}"),
        expected: &[
            "4:55 warning needs-places: on a100-40gb mig-parted would fail: no order of creation without places reaches this (it stands as 1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 1g.5gb@4 1g.5gb@5 1g.10gb@6, which a checkpoint says (model of the driver, confidence medium))",
        ],
    },
    Broken {
        gpus: A100,
        text: parted!("{devices: all, mig-enabled: true, mig-devices: {1c.3g.20gb: 6}}"),
        expected: &[
            "4:55 warning parted-slice: `1c.3g.20gb` is a part of a slice, which no resource name fits (under the strategy `mixed` the device plugin does not start on such a node)",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            parted!("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}"),
            "---\nversion: v1\nsharing:\n  timeSlicing:\n    resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}]\n"
        ),
        expected: &[
            "9:24 warning no-limit: time-slicing of `nvidia.com/mig-1g.5gb` limits neither memory nor time (2 pods share 4864MiB of one 1g.5gb, and each can take it all)",
        ],
    },
    // mig-parted's checkpoint
    Broken {
        gpus: A100,
        text: "{\"Version\": \"v1\", \"MigState\": {\"Devices\": [{\"UUID\": \"GPU-1\", \"MigMode\": 1, \"GpuInstances\": [\n{\"ProfileID\": 9, \"Placement\": {\"Start\": 4, \"Size\": 4}}]}]}}\n",
        expected: &[
            "2:15 error infeasible: 9 is the id of 3g.20gb on a100-40gb; a checkpoint has NVML's enum, which is 2",
        ],
    },
    Broken {
        gpus: A100,
        text: "{\"Version\": \"v1\", \"MigState\": {\"Devices\": [{\"UUID\": \"GPU-1\", \"MigMode\": 1, \"GpuInstances\": [\n{\"ProfileID\": 2, \"Placement\": {\"Start\": 2, \"Size\": 4}}]}]}}\n",
        expected: &["2:15 error infeasible: 3g.20gb cannot start at `2` on a100-40gb; it starts at 0, 4"],
    },
    // the GPU operator's ConfigMap
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  mig.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: false}]\n",
        expected: &[
            "5:3 error bad-key: the MIG manager reads the key `config.yaml`, not `mig.yaml` (rename the key)",
        ],
    },
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: true, mig-devices: {7g.40gb: 2}}]\n",
        expected: &[
            "8:59 error infeasible: a100-40gb has no room for 7g.40gb beside 7g.40gb (nearest that fit: [7g.40gb] or [3g.20gb, 3g.20gb] or [4g.20gb, 3g.20gb])",
        ],
    },
    Broken {
        gpus: A100,
        text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mig}\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs:\n      a: [{devices: all, mig-enabled: false}\n",
        expected: &["8:10 error bad-yaml: not YAML: unclosed bracket '['"],
    },
    // nos
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-40GB-SXM4]\n  allowedGeometries: [{1g.5gb: 7}]\n",
        expected: &[
            "1:12 error unknown-gpu: no board carries the label `NVIDIA-A100-40GB-SXM4`, so nos never finds this entry (write `NVIDIA-A100-SXM4-40GB`, as nvidia.com/gpu.product has it)",
        ],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-80GB]\n  allowedGeometries:\n    - {2g.20gb: 2, 3g.20gb: 1}\n",
        expected: &[
            "3:20 error unknown-profile: a100-80gb has no MIG profile `3g.20gb`; it has 1g.10gb, 1g.10gb+me, 1g.20gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb (did you mean `3g.40gb`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries:\n    - {3g.20gb: 1, 1g.5gb: 4}\n",
        expected: &[
            "3:8 warning needs-order: on a100-40gb this stands only if the larger slices are created first (nos gives no places and may begin with any slice; it stands as 1g.5gb@0 1g.5gb@1 1g.5gb@2 1g.5gb@3 3g.20gb@4 (model of the driver, confidence medium))",
        ],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries: [{1g.5gb: 0}]\n",
        expected: &["2:32 error out-of-range: `0` is out of range; it must be 1 to 2147483647"],
    },
    Broken {
        gpus: &[],
        text: "- models: [NVIDIA-A100-SXM4-40GB]\n  allowedGeometries: [{1g.5gb+me: 1}]\n",
        expected: &[
            "2:24 error bad-profile: `1g.5gb+me` passes nos' check and then breaks: no annotation can carry it (only plain profiles such as `1g.5gb` travel)",
        ],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mig\n  annotations:\n    nos.nebuly.com/spec-gpu-0-3g.20gb: '3'"
        ),
        expected: &[
            "10:40 error infeasible: GPU 0: a100-40gb has no room for 3g.20gb beside 3g.20gb, 3g.20gb (nearest that fit: [3g.20gb, 3g.20gb] or [4g.20gb, 3g.20gb] or [3g.20gb, 2g.10gb, 2g.10gb])",
        ],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mig\n  annotations:\n    nos.nebuly.com/spec-gpu-0-1g.5gb-me: '1'"
        ),
        expected: &[
            "10:42 warning no-effect: nos ignores `nos.nebuly.com/spec-gpu-0-1g.5gb-me: 1` (write nos.nebuly.com/spec-gpu-<index>-<profile>: \"<quantity>\"; a profile with `-` cannot be carried)",
        ],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mps\n  annotations:\n    nos.nebuly.com/spec-gpu-2-10gb: '1'"
        ),
        expected: &["10:37 error no-such-gpu: gpu-0 has no GPU 2 (it has 2 by its labels)"],
    },
    Broken {
        gpus: &[],
        text: node!(
            "    nos.nebuly.com/gpu-partitioning: mps\n  annotations:\n    nos.nebuly.com/spec-gpu-1-20gb: '2'"
        ),
        expected: &[
            "10:37 warning reserved-memory: GPU 1: slices promise all 40GiB that a100-40gb has (MPS counts in GiB, and the driver and every client's context take their part: the last pod runs out)",
        ],
    },
    Broken {
        gpus: &[],
        text: node!("    nos.nebuly.com/gpu-partitioning: hybrid"),
        expected: &[
            "8:38 warning no-effect: `hybrid` is recognized by nos and handled by nothing (write `mig` or `mps`)",
        ],
    },
    Broken {
        gpus: &[],
        text: "gpuPartitioner:\n  knownMigGeometries: []\n",
        expected: &[
            "2:23 error empty-list: no known geometries are listed (nos refuses an empty list and does not start)",
        ],
    },
    Broken {
        gpus: &[],
        text: "operator: {enabled: true}\nscheduler:\n  config: {leaderElection: {}}\n",
        expected: &[
            "3:3 warning no-effect: nos' chart never reads `scheduler.config` (its template looks for `config` at the top; edit the deployed ConfigMap instead)",
        ],
    },
    // NVIDIA's device plugin
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 1}]"),
        expected: &["5:50 error out-of-range: `1` is out of range; it must be 2 to 2147483647"],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 60}]"),
        expected: &[
            "5:50 error mps-clients: 60 replicas by MPS; the plugin takes up to 48 (16 on GPUs before Turing, V100 included)",
        ],
    },
    Broken {
        gpus: &[("t4", 1)],
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 24}]"),
        expected: &[
            "5:50 warning reserved-memory: 24 replicas leave 640MiB each on t4 (below some 800MiB a CUDA context does not start (k8s-device-plugin issue 1118))",
        ],
    },
    Broken {
        gpus: &[("v100-sxm2-16gb", 1)],
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 20}]"),
        expected: &[
            "5:50 error mps-clients: 20 replicas by MPS on v100-sxm2-16gb: the plugin takes up to 16 (48 from compute capability 7.5 on, 16 before)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!("  timeSlicing:\n    resources: [{name: nvidia.com/gpu, replica: 4}]"),
        expected: &[
            "5:18 error missing-key: missing key `replicas` (expected a whole number: shares of each device, 2 or more)",
            "5:40 error unknown-key: unknown key `replica` in a shared resource (did you mean `replicas`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!("  timeSlicing:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"),
        expected: &[
            "5:24 warning no-limit: time-slicing of `nvidia.com/gpu` limits neither memory nor time (4 pods share 40GiB of one a100-40gb, and each can take it all)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4, rename: gpu-10gb}]"),
        expected: &[
            "5:61 warning no-effect: the plugin ignores `rename` (`renameByDefault: true` calls it <name>.shared)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4, devices: all}]"),
        expected: &[
            "5:62 warning no-effect: the plugin ignores `devices`: all GPUs of a node have the same replicas",
        ],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nflags: {migStrategy: mixed}\nsharing:\n  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]\n",
        expected: &[
            "2:22 error mps-on-mig: `migStrategy: mixed` and MPS do not go together: the plugin does not start (write `none`)",
        ],
    },
    Broken {
        gpus: A100,
        text: "version: v1\nflags: {migStrategy: both}\nsharing: {}\n",
        expected: &[
            "2:22 error unknown-name: `both` is not a MIG strategy (write `none`, `single`, `mixed`)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!("  mps:\n    resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}]"),
        expected: &[
            "5:24 error mps-on-mig: the plugin does not share MIG devices by MPS (use time-slicing for MIG devices)",
        ],
    },
    // nebuly's device plugin
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-30gb, memoryGB: 30, replicas: 2, devices: ['0']}"
        ),
        expected: &[
            "6:74 error too-much-memory: GPU 0: slices of 60 GB together, and a100-40gb has 40 GB (the plugin does not check this; nos never plans it)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-10gb, memoryGB: 10, replicas: 2, devices: [all]}"
        ),
        expected: &[
            "6:87 error bad-value: `all` is no device (write a GPU index such as \"0\", a MIG index \"0:1\" or a UUID; there is no `all`)",
        ],
    },
    Broken {
        gpus: A100,
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-10gb, memoryGB: 20, replicas: 1, devices: ['0']}"
        ),
        expected: &[
            "6:40 warning misleading-name: slices of 20 GB are called `nvidia.com/gpu-10gb` (nos takes the size from the name; call them `nvidia.com/gpu-20gb`)",
        ],
    },
    Broken {
        gpus: &[("a100-80gb", 1)],
        text: plugin!(
            "  mps:\n    resources:\n      - {name: nvidia.com/gpu, rename: gpu-1gb, memoryGB: 1, replicas: 50, devices: ['0']}"
        ),
        expected: &[
            "6:72 error mps-clients: GPU 0: 50 slices, and MPS on a100-80gb has 48 clients (up to CUDA 13.0; from 13.1 on 60)",
        ],
    },
    // DRA
    Broken {
        gpus: &[],
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '1g.5gb.me'\"}}]"
        ),
        expected: &[
            "10:42 error unknown-profile: no GPU has a MIG profile `1g.5gb.me` (the attribute is spelled `1g.5gb+me`; a `.` is for resource names)",
        ],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profil == '1g.5gb'\"}}]"
        ),
        expected: &[
            "10:42 error unknown-name: the driver publishes no attribute `profil`: no device matches (did you mean `profile`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: claim!(
            "    requests:\n      - name: a\n        exactly:\n          deviceClassName: mig.nvidia.com\n          count: 3\n          selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '3g.20gb'\"}}]\n    constraints: [{requests: [], matchAttribute: gpu.nvidia.com/parentUUID}]"
        ),
        expected: &[
            "11:42 error no-single-gpu: no single GPU holds what `c` asks for: a100-40gb has no room for 3g.20gb beside 3g.20gb, 3g.20gb (nearest that fit: [3g.20gb, 3g.20gb] or [4g.20gb, 3g.20gb] or [3g.20gb, 2g.10gb, 2g.10gb])",
        ],
    },
    Broken {
        gpus: &[],
        text: claim!("    requests: [{name: a, deviceClassName: gpu.nvidia.com}]"),
        expected: &[
            "6:43 error missing-key: `deviceClassName` stands outside `exactly` (in resource.k8s.io/v1 it belongs under `exactly`)",
        ],
    },
    Broken {
        gpus: &[],
        text: claim!("    requests: [{name: a, exactly: {deviceClassName: gpu.nvida.com}}]"),
        expected: &[
            "6:53 error unknown-class: no DeviceClass `gpu.nvida.com` (did you mean `gpu.nvidia.com`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n    config:\n      - opaque:\n          driver: gpu.nvidia.com\n          parameters:\n            apiVersion: resource.nvidia.com/v1beta1\n            kind: GpuConfig\n            sharing: {strategy: MPS, mpsConfig: {defaultActiveThreadPercentage: 120}}"
        ),
        expected: &["13:81 error out-of-range: `120` is out of range; it must be 0 to 100"],
    },
    Broken {
        gpus: &[],
        text: claim!(
            "    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n    config:\n      - opaque:\n          driver: gpu.nvidia.com\n          parameters:\n            apiVersion: resource.nvidia.com/v1beta1\n            kind: GpuConfig\n            sharing: {strategy: TimeSlicing, mpsConfig: {}}"
        ),
        expected: &[
            "13:57 error bad-value: `mpsConfig` beside the strategy TimeSlicing (the driver refuses the claim; leave it out)",
        ],
    },
    Broken {
        gpus: A100,
        text: claim!(
            "    requests:\n      - name: gpu\n        firstAvailable:\n          - {name: big, deviceClassName: mig.nvidia.com, selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '4g.40gb'\"}}]}\n          - {name: small, deviceClassName: mig.nvidia.com, selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '3g.20gb'\"}}]}\n    config:\n      - {requests: [gpu, gpu/big, gpu/middle]}"
        ),
        expected: &[
            "9:89 warning no-effect: no GPU has a MIG profile `4g.40gb`: the alternative `big` is never taken (`small` can be; leave out what cannot)",
            "12:35 error unknown-name: no request is called `gpu/middle` (there are: gpu, gpu/big, gpu/small)",
        ],
    },
    Broken {
        gpus: A100,
        text: claim!(
            "    requests:\n      - name: gpu\n        firstAvailable:\n          - {name: a, deviceClassName: gpu.nvida.com}\n          - {name: a, exactly: {deviceClassName: gpu.nvidia.com}}\n          - {name: a, deviceClassName: mig.nvidia.com, selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '9g.90gb'\"}}]}"
        ),
        expected: &[
            "9:40 error unknown-class: no DeviceClass `gpu.nvida.com` (did you mean `gpu.nvidia.com`?)",
            "10:13 error missing-key: an alternative without `deviceClassName` (under `firstAvailable` it stands beside the name, without `exactly`)",
            "11:20 error duplicate: a second alternative `a`",
            "11:87 warning no-effect: no GPU has a MIG profile `9g.90gb`: the alternative `a` is never taken (`a` can be; leave out what cannot)",
        ],
    },
    Broken {
        gpus: A100,
        text: claim!(
            "    requests:\n      - name: gpu\n        firstAvailable:\n          - {name: a, deviceClassName: mig.nvidia.com, selectors: [{cel: {expression: \"device.attributes['gpu.nvidia.com'].profile == '9g.90gb'\"}}]}"
        ),
        expected: &[
            "9:87 error unknown-profile: no GPU of these nodes has a MIG profile `9g.90gb` (did you mean `1g.10gb`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: t}\nspec:\n  devices:\n    requests: [{name: a, exactly: {deviceClassName: gpu.nvidia.com}}]\n",
        expected: &[
            "3:18 error missing-key: no `spec.spec.devices`: the claim asks for nothing (in a template the claim's own spec stands one level deeper)",
        ],
    },
    // nvidia-smi
    Broken {
        gpus: A100,
        text: "#!/bin/sh\nnvidia-smi -i 0 -mig 1\nnvidia-smi mig -i 0 -cgi 9:4,19:7 -C\n",
        expected: &[
            "3:30 error infeasible: 1g.5gb cannot start at `7` on a100-40gb; it starts at 0, 1, 2, 3, 4, 5, 6",
        ],
    },
    Broken {
        gpus: A100,
        text: "#!/bin/sh\nnvidia-smi mig -i 0 -cgi 9:4,14:0\n",
        expected: &[
            "2:26 warning no-effect: no `-C`: the slices get no compute instance, and no pod can use them (add `-C`)",
        ],
    },
    Broken {
        gpus: &[],
        text: "#!/bin/sh\nnvidia-smi mig -i 0 -cgi 99 -C\n",
        expected: &[
            "2:26 error infeasible: a30-24gb has no profile `99`; it has 14 1g.6gb, 21 1g.6gb+me, 5 2g.12gb, 6 2g.12gb+me, 0 4g.24gb (no other GPU of the catalogue can hold it either; `--gpu MODEL` says which you have)",
        ],
    },
    // pods
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/gpus: 1}}"),
        expected: &[
            "7:28 error no-such-resource: no node advertises `nvidia.com/gpus` (did you mean `nvidia.com/gpu`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/gpu: 4}}"),
        expected: &[
            "7:28 error too-many: `p` asks for 4 of `nvidia.com/gpu`, and the most on one node is 2 (a pod runs on one node)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/mig-1g.10gb+me: 1}}"),
        expected: &[
            "7:28 error no-such-resource: `nvidia.com/mig-1g.10gb+me` cannot be the name of a resource (a `+` of the profile is written `.`: `nvidia.com/mig-1g.10gb.me`)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/mig-1g.12gb: 1}}"),
        expected: &[
            "7:28 error unknown-profile: no GPU of these nodes (a100-40gb) has a MIG profile `1g.12gb` (did you mean `1g.10gb`?)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/gpu: 500m}}"),
        expected: &[
            "7:28 error bad-amount: `nvidia.com/gpu`: 0.5 is no whole number of devices (the API server refuses it; a part of a GPU is a MIG or MPS slice, or a replica)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{requests: {nvidia.com/gpu: 1}}"),
        expected: &[
            "7:30 error bad-amount: `nvidia.com/gpu` is requested without a limit (the API server refuses it; set the same limit)",
        ],
    },
    Broken {
        gpus: A100,
        text: pod!("{limits: {nvidia.com/gpu: one}}"),
        expected: &[
            "7:44 error bad-value: `nvidia.com/gpu`: expected a quantity such as `2`, `500m` or `8Gi`, found `one`",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            plugin!(
                "  mps:\n    renameByDefault: true\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"
            ),
            "---\n",
            pod!("{limits: {nvidia.com/gpu: 1}}")
        ),
        expected: &[
            "14:28 error no-such-resource: no node advertises `nvidia.com/gpu`: it is shared and renamed (ask for `nvidia.com/gpu.shared`)",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            plugin!("  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]"),
            "---\n",
            pod!("{limits: {nvidia.com/gpu: 2}}")
        ),
        expected: &[
            "13:28 error more-than-one: `p` asks for 2 of `nvidia.com/gpu`, which 2 x a100-40gb shares by MPS (the kubelet refuses such a pod after it was scheduled (failRequestsGreaterThanOne); ask for 1)",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 2}}]\n---\n",
            "version: v1\nflags: {migStrategy: single}\nsharing: {}\n---\n",
            pod!("{limits: {nvidia.com/mig-3g.20gb: 1}}")
        ),
        expected: &[
            "15:28 error single-strategy: no node advertises `nvidia.com/mig-3g.20gb`: 2 x a100-40gb, a has such slices under the strategy `single` (there they are called nvidia.com/gpu; ask for that, or use `mixed`)",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {3g.20gb: 2}}]\n---\n",
            pod!("{limits: {nvidia.com/mig-4g.20gb: 1}}")
        ),
        expected: &[
            "11:28 error no-such-resource: no node has a slice `4g.20gb`, though a100-40gb could be cut so (nodes advertise nvidia.com/mig-3g.20gb)",
        ],
    },
    Broken {
        gpus: A100,
        text: concat!(
            "version: v1\nmig-configs:\n  a: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}]\n---\n",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {slicewise/gpu-memory: 5Gi}}\n",
            "spec: {containers: [{name: c, resources: {limits: {nvidia.com/mig-1g.5gb: 1}}}]}\n"
        ),
        expected: &[
            "7:57 error too-little-memory: `p` needs 5GiB of GPU memory, and `nvidia.com/mig-1g.5gb` on a100-40gb has 4864MiB (names round up: what a slice has is what the driver reports, the reserved part taken off)",
        ],
    },
    Broken {
        gpus: &[],
        text: concat!(
            node!("    nos.nebuly.com/gpu-partitioning: mig"),
            "---\n",
            pod!("{limits: {nvidia.com/mig-4g.20gb: 2, nvidia.com/mig-2g.10gb: 4}}")
        ),
        expected: &[
            "12:18 error no-single-gpu: the slices that `p` asks for do not stand on the GPUs of any one node together (no layout of these GPUs holds them; ask for smaller slices or fewer)",
        ],
    },
    Broken {
        gpus: &[],
        text: concat!(
            node!("    nvidia.com/mig.config: al-1g.5gb"),
            "---\n",
            "version: v1\nmig-configs:\n  all-1g.5gb: [{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 7}}]\n"
        ),
        expected: &[
            "8:28 error unknown-config: no MIG configuration is called `al-1g.5gb`: gpu-0 stays as it is (did you mean `all-1g.5gb`?)",
        ],
    },
    Broken {
        gpus: &[],
        text: concat!(
            "apiVersion: nvidia.com/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {mig: {strategy: single}}\n---\n",
            "version: v1\nflags: {migStrategy: mixed}\nsharing: {}\n"
        ),
        expected: &[
            "7:22 warning no-effect: `migStrategy: mixed` does nothing: the ClusterPolicy says single (set spec.mig.strategy there)",
        ],
    },
    Broken {
        gpus: &[],
        text: node!("    nos.nebuly.com/gpu-partitioning: mig\n    nvidia.com/mig.config: all-1g.5gb"),
        expected: &[
            "9:28 warning two-managers: both mig-parted and nos cut the GPUs of gpu-0 (each undoes what the other made; keep one of the two labels)",
        ],
    },
    // what is none of these
    Broken {
        gpus: &[],
        text: "version: v1\nmig-config: {}\n",
        expected: &[
            "2:1 error unrecognized: this is none of the formats that are checked (did you mean `mig-configs`?)",
        ],
    },
    Broken { gpus: &[], text: "a: [1\n", expected: &["1:4 error bad-yaml: not YAML: unclosed bracket '['"] },
    Broken {
        gpus: &[],
        text: "",
        expected: &[
            "1:1 error unrecognized: the file is empty (an empty list of Kubernetes objects is `{kind: List, items: []}`)",
        ],
    },
];
