//! A machine of its own for each test: a copy of the fake driver, a folder, a configuration.

#![allow(unsafe_code, reason = "two symbols of the fake driver are called as C functions")]

use fake_driver::{Config, Device, Slice, State};
use libloading::Library;
use slicewise::device::Nvml;
use slicewise::gpu::{Catalogue, Layout, Product};
use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{PoisonError, RwLock};
use tempfile::TempDir;

/// Whoever starts a process takes it alone, whoever holds locks of the program shares it: between fork
/// and exec a child holds its parent's file locks too, and a run would find a GPU locked.
pub(crate) static FORKS: RwLock<()> = RwLock::new(());

/// Starts a process while no test of this one holds a lock of the program.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let _alone = FORKS.write().unwrap_or_else(PoisonError::into_inner);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Runs a process to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    spawn(command.stdin(Stdio::null())).wait_with_output().expect("it ends")
}

/// The UUID of the first GPU of a stand.
pub(crate) const UUID: &str = "GPU-00000000-0000-0000-0000-000000000001";

/// A machine.
pub(crate) struct Stand {
    folder: TempDir,
    library: Library,
    pub(crate) config: Config,
}

/// The shared object that cargo built beside the tests.
fn shared_object() -> PathBuf {
    let tests = std::env::current_exe().expect("this test is a file");
    let beside = tests.parent().expect("in a folder").join("libfake_driver.so");
    assert!(beside.exists(), "{} was built with the tests", beside.display());
    beside
}

/// A product of the catalogue.
pub(crate) fn product(id: &str) -> &'static Product {
    Catalogue::builtin().find(id).expect("a product of the catalogue")
}

/// Slices written as people do, `3g@4 1g@0`, for the fake driver.
pub(crate) fn slices(id: &str, layout: &str) -> Vec<Slice> {
    let names: Vec<&str> = layout.split_whitespace().collect();
    let product = product(id);
    let layout = Layout::place(product, &names).expect("a legal layout");
    let slice = |s: slicewise::gpu::Slice| Slice {
        profile: u32::from(product.at(s.profile).nvml_enum()),
        start: u32::from(s.start),
    };
    layout.slices(product).into_iter().map(slice).collect()
}

/// A GPU with MIG on and these slices.
pub(crate) fn gpu(id: &str, layout: &str) -> Device {
    Device {
        product: id.to_owned(),
        uuid: UUID.to_owned(),
        mig: true,
        layout: slices(id, layout),
        ..Device::default()
    }
}

impl Stand {
    /// A machine with one GPU.
    pub(crate) fn with(device: Device) -> Stand {
        Stand::of(vec![device])
    }

    /// A machine with these GPUs.
    pub(crate) fn of(devices: Vec<Device>) -> Stand {
        // In memory where there is such a place: the disk is not what is tested.
        let shared = Path::new("/dev/shm");
        let folder = if shared.is_dir() { TempDir::new_in(shared) } else { TempDir::new() };
        let folder = folder.expect("a temporary folder");
        let copy = folder.path().join("libnvidia-ml.so.1");
        std::fs::copy(shared_object(), &copy).expect("a copy of the shared object");
        // SAFETY: the fake driver's initializers do nothing.
        let library = unsafe { Library::new(&copy) }.expect("the fake driver loads");
        let config = Config { state: folder.path().join("state.json"), devices, ..Config::default() };
        let stand = Stand { folder, library, config };
        stand.start();
        stand
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The library to load.
    pub(crate) fn library(&self) -> PathBuf {
        self.path("libnvidia-ml.so.1")
    }

    /// The file of the configuration.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("config.json")
    }

    /// Writes the configuration, without telling the driver in this process.
    pub(crate) fn write_config(&self) {
        let text = serde_json::to_string(&self.config).expect("plain values");
        std::fs::write(self.config_path(), text).expect("a writable folder");
    }

    /// The driver starts with the present configuration, on GPUs as they stand.
    pub(crate) fn start(&self) {
        self.write_config();
        let path = CString::new(self.config_path().to_str().expect("UTF-8")).expect("no zero in it");
        // SAFETY: a symbol of the fake driver, with the type it has there; the text ends with a zero.
        unsafe {
            let configure = self.library.get::<unsafe extern "C" fn(*const c_char)>(b"fake_configure\0");
            configure.expect("a symbol of the fake driver")(path.as_ptr());
        }
    }

    /// The GPUs as the configuration has them at first, and the driver started.
    pub(crate) fn renew(&self) {
        // Without a state the driver makes a fresh one.
        let _ = std::fs::remove_file(&self.config.state);
        self.start();
    }

    /// The names of the calls since the start.
    pub(crate) fn log(&self) -> Vec<String> {
        // SAFETY: a symbol of the fake driver, with the type it has there, and room as it asks for.
        let text = unsafe {
            let log = self.library.get::<unsafe extern "C" fn(*mut c_char, usize) -> usize>(b"fake_log\0");
            let log = log.expect("a symbol of the fake driver");
            let mut bytes = vec![0_u8; log(std::ptr::null_mut(), 0)];
            log(bytes.as_mut_ptr().cast(), bytes.len());
            bytes.pop();
            String::from_utf8(bytes).expect("names of functions")
        };
        text.lines().map(str::to_owned).collect()
    }

    /// What stands now, from the file.
    pub(crate) fn state(&self) -> State {
        State::read(&self.config.state)
    }

    /// The driver as slicewise opens it.
    pub(crate) fn open(&self) -> Nvml {
        Nvml::open(Some(&self.library())).expect("the fake driver initializes")
    }
}
