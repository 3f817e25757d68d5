//! A process of its own for a part of a test: to be killed, to print as a cell does, to be measured, to have other
//! environment variables. A process can safely change its environment only for its children.

use std::any::type_name;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "DIGIT_GAN_TEST_FOLDER";

/// A command that runs `test`, an ignored test of this binary, and nothing else.
pub fn command<Test>(_test: Test) -> Command {
    let (_, name) = type_name::<Test>().split_once("::").unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    command
}

/// The same, for a test that works in [`folder`].
pub fn command_in<Test>(test: Test, folder: &Path) -> Command {
    let mut command = command(test);
    command.env(FOLDER, folder);
    command
}

/// The folder that the parent process chose.
pub fn folder() -> PathBuf {
    env::var_os(FOLDER).expect("set by the parent").into()
}

/// What `command` prints. It must succeed.
pub fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}
