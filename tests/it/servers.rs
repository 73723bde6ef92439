use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// How long a server has to answer.
const STARTS_WITHIN: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// A server of a test, which ends with it.
pub struct Server {
    process: Child,
    pub port: u16,
    /// What it keeps; gone with it.
    folder: TempDir,
}

/// Where a proxy writes what it is asked.
const ASKED: &str = "asked.txt";

impl Server {
    /// What a proxy was asked so far: a line a request, as `PUT /shop/a.csv`.
    pub fn asked(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(ASKED)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder that `tests/servers/install.sh` installed into.
fn installed() -> PathBuf {
    let folder = std::env::var_os("SEGMILL_TEST_SERVERS");
    PathBuf::from(folder.expect("SEGMILL_TEST_SERVERS names the folder of tests/servers/install.sh"))
}

/// `SeaweedFS`, which speaks S3, with the bucket `shop`.
pub fn seaweed() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let identity = r#"{"identities":[{"name":"t","credentials":[{"accessKey":"AK","secretKey":"SK"}],"actions":["Admin","Read","List","Tagging","Write"]}]}"#;
    std::fs::write(folder.path().join("s3.json"), identity).unwrap();
    let mut command = Command::new(installed().join("venv/bin/weed"));
    command.arg("mini").arg(format!("-dir={}", folder.path().display())).current_dir(folder.path());
    command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.config=s3.json", "-webdav=false", "-admin.ui=false"]);
    command.args(["-master.telemetry=false", "-s3.port.lance=0", "-s3.port.iceberg=0", "-bucket=shop"]);
    for part in ["master", "volume", "filer", "admin"] {
        command.arg(format!("-{part}.port={}", free_port())).arg(format!("-{part}.port.grpc={}", free_port()));
    }
    let port = free_port();
    command.arg(format!("-s3.port={port}")).arg(format!("-s3.port.grpc={}", free_port()));
    start(command, port, folder)
}

/// Azurite, which speaks Azure Blob, with the container `shop`.
pub fn azurite() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new(installed().join("node_modules/.bin/azurite-blob"));
    command.arg("--location").arg(folder.path()).args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
    let server = start(command, port, folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/make_container.py");
    let made = Command::new(installed().join("venv/bin/python")).arg(script).arg(port.to_string()).status();
    assert!(made.unwrap().success(), "the container is made");
    server
}

/// An emulator of GCS, for reading, over a folder of buckets.
pub fn gcs(folder: TempDir) -> Server {
    let port = free_port();
    let mut command = Command::new(installed().join("fake-gcs-server"));
    command.args(["-scheme", "http", "-host", "127.0.0.1", "-backend", "memory", "-port", &port.to_string()]);
    command.args(["-public-host", &format!("127.0.0.1:{port}"), "-data"]).arg(folder.path());
    start(command, port, folder)
}

/// A proxy before another server in which requests go wrong, as variables say that `tests/servers/faults.py` explains.
pub fn faulty(before: &Server, faults: &[(&str, &str)]) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = Command::new(installed().join("venv/bin/mitmdump"));
    command.args(["--quiet", "--mode", &format!("reverse:http://127.0.0.1:{}@{port}", before.port), "--listen-host", "127.0.0.1"]);
    command.args(["--set", "keep_host_header=true", "-s"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/faults.py"));
    command.env("FAULT_LOG", folder.path().join(ASKED)).env("HOME", folder.path()).envs(faults.iter().copied());
    start(command, port, folder)
}

/// The variables by which the stores are found.
pub fn s3_variables(port: u16) -> BTreeMap<String, String> {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AK".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "SK".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

/// As [`s3_variables`], with the account and key that every Azurite has.
pub fn azure_variables(port: u16) -> BTreeMap<String, String> {
    const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let variables = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
        ("AZURE_STORAGE_ENDPOINT", format!("http://127.0.0.1:{port}/devstoreaccount1")),
    ];
    variables.map(|(name, value)| (name.to_owned(), value)).into()
}

fn start(mut command: Command, port: u16, folder: TempDir) -> Server {
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server is installed");
    let mut server = Server { process, port, folder };
    let since = segmill::clock::Stopwatch::start();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(server.process.try_wait().unwrap().is_none(), "the server ended: {command:?}");
        assert!(Duration::from_millis(since.elapsed_ms()) < STARTS_WITHIN, "the server does not answer: {command:?}");
        std::thread::sleep(PAUSE);
    }
    server
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
