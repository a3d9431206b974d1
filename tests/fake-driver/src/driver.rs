//! One driver for the process: its state, its count of calls, and what fails.

use crate::catalogue::{Product, product};
use crate::config::{Config, Device, Fault};
use crate::model::{State, code};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The driver of this copy of the library.
pub(crate) struct Driver {
    pub(crate) config: Config,
    pub(crate) state: State,
    calls: u32,
    by_name: BTreeMap<&'static str, u32>,
    changes: u32,
    log: String,
    /// What SetMigMode must put in the activation status, and whether it takes effect.
    pub(crate) activation: Option<(u32, bool)>,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

impl Driver {
    fn open(path: &Path) -> Driver {
        let text = std::fs::read_to_string(path).expect("FAKE_DRIVER_CONFIG names a file");
        let config: Config = serde_json::from_str(&text).expect("a configuration of the fake driver");
        let state = if config.state.exists() { State::read(&config.state) } else { State::fresh(&config) };
        if !config.volatile {
            state.write(&config.state);
        }
        Driver {
            config,
            state,
            calls: 0,
            by_name: BTreeMap::new(),
            changes: 0,
            log: String::new(),
            activation: None,
        }
    }

    /// The GPU of a handle.
    pub(crate) fn device(&self, at: usize) -> (&Device, &'static Product) {
        (&self.config.devices[at], product(&self.state.gpus[at].product))
    }

    /// The fault that strikes the present call.
    fn fault(&self, name: &str) -> Option<Fault> {
        let strikes = |fault: &&Fault| {
            let count = match &fault.call {
                Some(call) if call == name => self.by_name.get(name).copied().unwrap_or(0),
                Some(_) => return false,
                None => self.calls,
            };
            count == fault.nth || (fault.sticky && fault.nth < count)
        };
        self.config.faults.iter().find(strikes).cloned()
    }
}

fn driver() -> MutexGuard<'static, Option<Driver>> {
    let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if driver.is_none() {
        let path = std::env::var_os("FAKE_DRIVER_CONFIG").expect("FAKE_DRIVER_CONFIG is set");
        *driver = Some(Driver::open(Path::new(&path)));
    }
    driver
}

/// Does one call: counts it, lets it fail, and writes down what it changed.
pub(crate) fn call(name: &'static str, body: impl FnOnce(&mut Driver) -> Result<(), u32>) -> u32 {
    let mut guard = driver();
    let driver = guard.as_mut().expect("opened above");
    driver.calls += 1;
    *driver.by_name.entry(name).or_default() += 1;
    driver.log.push_str(name);
    driver.log.push('\n');
    if driver.config.missing.iter().any(|m| m == name) {
        return code::FUNCTION_NOT_FOUND;
    }
    let fault = driver.fault(name);
    driver.activation = fault.as_ref().filter(|f| f.activation).map(|f| (f.code, f.after));
    let fault = fault.filter(|f| !f.activation);
    if let Some(fault) = &fault
        && !fault.after
    {
        return fault.code;
    }
    let before = driver.state.clone();
    let done = body(driver);
    if driver.state != before {
        std::thread::sleep(std::time::Duration::from_millis(driver.config.delay_ms));
        if !driver.config.volatile {
            driver.state.write(&driver.config.state);
        }
        driver.changes += 1;
        if driver.config.kill_after == Some(driver.changes) {
            // SAFETY: a signal to the process itself.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }
    match (done, fault) {
        (_, Some(fault)) => fault.code,
        (Ok(()), None) => 0,
        (Err(code), None) => code,
    }
}

/// Starts anew with a configuration, its state as the file has it, and no call counted.
///
/// # Safety
/// `path` is text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_configure(path: *const c_char) {
    // SAFETY: the caller's word.
    let path = unsafe { CStr::from_ptr(path) }.to_str().expect("UTF-8");
    *DRIVER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Driver::open(Path::new(path)));
}

/// The names of the calls so far, a line each, as text that ends with a zero, as far as it fits; the
/// length that would.
///
/// # Safety
/// `text` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_log(text: *mut c_char, length: usize) -> usize {
    let guard = driver();
    let log = &guard.as_ref().expect("opened above").log;
    let shown = log.len().min(length.saturating_sub(1));
    if 0 < length {
        // SAFETY: `shown` is less than the caller's room.
        unsafe {
            std::ptr::copy_nonoverlapping(log.as_ptr().cast(), text, shown);
            *text.add(shown) = 0;
        }
    }
    log.len() + 1
}
