//! What is read arrives as the driver gave it, from a live driver and from a saved reply alike.

use crate::stand::{Stand, UUID, gpu, product};
use fake_driver::Fault;
use slicewise::device::{Asked, Class, Code, Failed, Inventory, Mode, Place, Reply};
use slicewise::gpu::Catalogue;

/// Every product: profiles and places arrive as the catalogue has them.
#[test]
fn every_product_is_read_as_it_is() {
    for product in Catalogue::builtin().iter().filter(|p| p.is_mig()) {
        let stand = Stand::with(gpu(product.id(), ""));
        let inventory = Inventory::of(&stand.open().read(&[]));
        let device = &inventory.devices[0];
        assert_eq!(device.name.as_deref(), Some(product.name()));
        assert_eq!(device.uuid.as_deref(), Some(UUID));
        assert_eq!(device.mode, Ok(Mode { current: true, pending: true }));
        assert_eq!(device.profiles.len(), product.profiles().len(), "{}", product.id());
        for known in product.profiles() {
            let read = device.profiles.iter().find(|p| p.nvml_enum == u32::from(known.nvml_enum()));
            let read = read.expect("every profile is read");
            let size = u32::from(known.memory_slices());
            let places = known.starts().iter().map(|s| Place { start: u32::from(*s), size });
            assert_eq!(read.places, Ok(places.collect()), "{} {}", product.id(), known.name());
            assert_eq!((read.sms, read.memory_mib), (u32::from(known.sms()), known.memory().0));
            assert_eq!(read.remaining, Some(Ok(u32::from(known.max_instances()))));
        }
    }
}

#[test]
fn a_saved_reply_is_as_good_as_the_device() {
    let stand = Stand::with(gpu("a100-40gb", "3g@4 1g@0 1g@2"));
    let reply = stand.open().read(&[UUID.to_owned()]);
    let saved = Reply::parse(&reply.to_text()).expect("what was saved reads");
    assert_eq!(saved, reply);
    let inventory = Inventory::of(&saved);
    let device = &inventory.devices[0];
    let instances = device.instances.clone().expect("MIG is on").expect("every call worked");
    let stands: Vec<(u32, u32, usize)> =
        instances.iter().map(|i| (i.profile, i.place.start, i.compute.len())).collect();
    assert_eq!(stands, [(19, 0, 1), (19, 2, 1), (9, 4, 1)]);
    assert_eq!(device.mig_devices.len(), 3);
    assert!(Reply::parse("{").is_err());
    let newer = reply.to_text().replace("reply\":1", "reply\":2");
    assert!(Reply::parse(&newer).expect_err("a newer format").to_string().contains("format 2"));
}

/// Old drivers lack version 2 of the profile's struct, or the function, or say nothing with MIG off.
#[test]
fn old_drivers_are_asked_in_older_ways() {
    let mut stand = Stand::with(gpu("a30-24gb", ""));
    for (old, missing) in [(true, false), (false, true)] {
        stand.config.old_struct = old;
        let name = "nvmlDeviceGetGpuInstanceProfileInfoV".to_owned();
        stand.config.missing = if missing { vec![name] } else { Vec::new() };
        stand.start();
        let device = Inventory::of(&stand.open().read(&[])).devices.swap_remove(0);
        assert_eq!(device.profiles.len(), product("a30-24gb").profiles().len());
        assert_eq!(device.profiles[0].name, None);
        assert!(device.profiles.iter().all(|p| p.places.is_ok()));
    }
    let off = fake_driver::Device { mig: false, ..gpu("a30-24gb", "") };
    let mut stand = Stand::with(off);
    let device = Inventory::of(&stand.open().read(&[])).devices.swap_remove(0);
    assert_eq!((device.profiles.len(), device.instances), (5, None));
    stand.config.profiles_need_mig = true;
    stand.start();
    let device = Inventory::of(&stand.open().read(&[])).devices.swap_remove(0);
    assert_eq!((device.profiles.len(), device.profiles_failed), (0, None));
}

/// Every code arrives with its number, those that nvml-wrapper has no name for too, and an unknown
/// UUID or a missing function is told apart from a broken driver.
#[test]
fn every_code_arrives_as_it_is() {
    let mut stand = Stand::with(gpu("h100-80gb-sxm", ""));
    let place = Place { start: 0, size: 1 };
    for number in (1..=31).chain([999]) {
        let create = "nvmlDeviceCreateGpuInstanceWithPlacement";
        stand.config.faults = ["nvmlDeviceGetMigMode", create, "nvmlDeviceSetMigMode"]
            .map(|call| Fault {
                nth: 1,
                call: Some(call.to_owned()),
                code: number,
                sticky: true,
                activation: call == "nvmlDeviceSetMigMode",
                ..Fault::default()
            })
            .to_vec();
        stand.start();
        let nvml = stand.open();
        let code = Code(number);
        let read = Failed { call: "nvmlDeviceGetMigMode", asked: Asked::Read, code };
        assert_eq!(nvml.mode(UUID), Err(read));
        let created = nvml.create_instance(UUID, 19, place).expect_err("it fails");
        assert_eq!((created.code, created.class()), (code, code.class(Asked::Create)));
        // The reason stands in the activation status of a call that succeeds.
        let set = nvml.set_mode(UUID, false).expect_err("it fails");
        assert_eq!((set.code, set.asked), (code, Asked::Change));
    }
    assert_eq!(stand.open().mode("GPU-nobody").expect_err("unknown").code, Code(6));
    stand.config.faults.clear();
    stand.config.missing = vec!["nvmlDeviceGetMigMode".to_owned()];
    stand.start();
    assert_eq!(stand.open().mode(UUID).expect_err("missing").class(), Class::Unsupported);
}

/// Some A30 drivers report too few instances; lists hold them all the same.
#[test]
fn a_wrong_count_of_instances_hides_none() {
    let mut device = gpu("a30-24gb", "1g@0 1g@1 1g@2 1g@3");
    device.instance_count.insert(0, 1);
    let stand = Stand::with(device);
    let instances = stand.open().instances(UUID, &[14]).expect("they are listed");
    assert_eq!(instances.len(), 4);
}

/// Level 1 asks and never changes: only functions that get.
#[test]
fn reading_changes_nothing() {
    let stand = Stand::with(gpu("h100-80gb-sxm", "3g@4 1g@0"));
    let before = stand.state();
    assert!(!stand.open().read(&[]).calls.is_empty());
    assert_eq!(stand.state(), before);
    let calls = stand.log();
    let reads =
        |name: &String| name.contains("Get") || ["nvmlInit_v2", "nvmlShutdown"].contains(&name.as_str());
    assert!(calls.len() > 50 && calls.iter().all(reads), "{calls:?}");
}

/// The rules of the fake driver that a reboot must follow.
#[test]
fn a_reboot_ends_instances_and_the_mode_of_later_gpus() {
    for (id, kept) in [("a100-40gb", true), ("h100-80gb-sxm", false)] {
        let stand = Stand::with(gpu(id, "1g@0"));
        fake_driver::reboot(&stand.config.state);
        let state = stand.state();
        assert_eq!((state.boot, state.gpus[0].instances.len(), state.gpus[0].mig), (2, 0, kept), "{id}");
    }
}
