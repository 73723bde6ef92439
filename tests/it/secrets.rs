use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;

use crate::marks::{files_under, holds, of_file};
use crate::support::{copy, package};
use crate::tiny::{PIPELINE, Tiny, orders};

/// What no person, program or log may read of what the environment, a store's headers and its answers hold.
const SECRET: &str = "plant/ed+7731=";

/// A gateway before a store, which answers in one way whatever is asked.
struct Gateway {
    address: String,
}

/// How it answers.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// With a status, and what it was asked, headers and all, as plain text.
    Echo(&'static str),
    /// With a status, and what it was asked in an XML document with this code.
    Xml(&'static str, &'static str),
    /// With a redirect to where it was asked for.
    Redirect,
    /// With success, and no list that can be read.
    Garbage,
    /// With more bytes announced than come.
    Short,
    /// With rows of an extract, and headers that say too much.
    Rows,
}

impl Gateway {
    fn that(answer: Answer) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        // It ends with the process; each connection is answered once.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer_once(connection, answer));
            }
        });
        Gateway { address }
    }
}

fn answer_once(mut connection: TcpStream, answer: Answer) {
    let mut asked = String::new();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
        asked += &line;
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let echo = asked.replace("\r\n", "; ");
    let (status, kind, body) = match answer {
        Answer::Echo(status) => (status, "text/plain", format!("bad gateway: {SECRET} {echo}")),
        Answer::Xml(status, code) => {
            (status, "application/xml", format!("<Error><Code>{code}</Code><Message>{SECRET} {echo}</Message></Error>"))
        }
        Answer::Redirect => ("302 Found", "text/plain", echo.clone()),
        Answer::Garbage => ("200 OK", "application/xml", format!("<List>{SECRET} {echo}")),
        Answer::Short => ("200 OK", "application/xml", SECRET.to_owned()),
        // Of `ann:plant7731`.
        Answer::Rows if !asked.to_lowercase().contains(&"authorization: Basic YW5uOnBsYW50NzczMQ==".to_lowercase()) => {
            ("401 Unauthorized", "text/plain", echo.clone())
        }
        Answer::Rows => ("206 Partial Content", "text/csv", format!("{}bad,{SECRET}\n", orders())),
    };
    let announced = if matches!(answer, Answer::Short) { body.len() + 10 } else { body.len() };
    let range = if status.starts_with("206") && !asked.starts_with("HEAD") {
        format!("Content-Range: bytes 0-{}/{}\r\n", body.len() - 1, body.len())
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n{range}Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\nETag: \"{SECRET}\"\r\n\
         X-Token: {SECRET}\r\nServer: {SECRET}\r\nLocation: http://{SECRET}@127.0.0.1:1/?{SECRET}\r\nConnection: close\r\n\r\n"
    );
    let status_of_head = if asked.starts_with("HEAD") { "" } else { body.as_str() };
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(status_of_head.as_bytes()));
}

/// What a command says, and all that it leaves beside the outputs that are for those who may read them.
pub fn said_and_left(tiny: &Tiny, output: &Output) -> String {
    let mut all = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for file in files_under(tiny.folder.path()) {
        let is_input = ["extracts", "pipelines", "sql"].iter().any(|folder| file.starts_with(tiny.folder.path().join(folder)));
        if !is_input {
            all += &of_file(&file);
        }
    }
    all
}

fn run(tiny: &Tiny, environment: &[(&str, &str)]) -> Output {
    let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01", "--record", "record.json"]);
    command.envs(environment.iter().copied()).env("SEGMILL_LOG", "trace").env("SEGMILL_STORE_DEADLINE_SECONDS", "2");
    command.output().unwrap()
}

/// Whatever a gateway answers, with whatever it was sent: at every log level, in messages, records, logs and tables.
#[test]
fn nothing_that_a_store_is_sent_or_answers_is_told() {
    let answers = [
        Answer::Echo("500 Internal Server Error"),
        Answer::Echo("502 Bad Gateway"),
        Answer::Echo("403 Forbidden"),
        Answer::Echo("401 Unauthorized"),
        Answer::Echo("404 Not Found"),
        Answer::Echo("400 Bad Request"),
        Answer::Echo("409 Conflict"),
        Answer::Echo("412 Precondition Failed"),
        Answer::Echo("418 plant/ed+7731="),
        Answer::Xml("500 Internal Server Error", "InternalError"),
        Answer::Xml("403 Forbidden", "SignatureDoesNotMatch"),
        Answer::Xml("403 Forbidden", "plantEd"),
        Answer::Xml("404 Not Found", "NoSuchBucket"),
        Answer::Redirect,
        Answer::Garbage,
        Answer::Short,
    ];
    let tried: Vec<_> = answers.iter().flat_map(|answer| ["source", "destination", "both"].map(|role| (*answer, role))).collect();
    let share = tried.len().div_ceil(4);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = tried
            .chunks(share)
            .map(|tried| scope.spawn(move || tried.iter().filter_map(|(answer, role)| leak(*answer, role)).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn leak(answer: Answer, role: &str) -> Option<String> {
    let (tiny, gateway) = (Tiny::new(), Gateway::that(answer));
    let (source, destination) = (role != "destination", role != "source");
    let mut text = PIPELINE.to_owned();
    if source {
        text = text.replace("${EXTRACTS:-extracts}/*.csv", "s3://bucket/*.csv");
    }
    if destination {
        text = text.replace("${DESTINATION:-out}", "s3://bucket/out");
    }
    tiny.write("pipelines/tiny.yaml", &text);
    let endpoint = format!("http://{}", gateway.address);
    let output = run(
        &tiny,
        &[
            ("AWS_ACCESS_KEY_ID", SECRET),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", SECRET),
            ("AWS_REGION", "x"),
            ("AWS_ENDPOINT_URL", &endpoint),
        ],
    );
    let code = output.status.code();
    let found = holds(&said_and_left(&tiny, &output), SECRET);
    let is_failure = matches!(code, Some(2 | 4 | 75 | 99));
    (found.is_some() || !is_failure)
        .then(|| format!("{answer:?} {role}: exit {code:?}, {found:?}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// A URL is shown without its password, and the password opens it all the same; a query is no part of a location.
#[test]
fn locations_are_shown_without_credentials() {
    let gateway = Gateway::that(Answer::Rows);
    let budget =
        PIPELINE.replace("    event_time: ordered_at\n", "    event_time: ordered_at\n    reject_budget: {share: 1, rows: 1000000}\n");
    for location in ["${LOCATION}".to_owned(), format!("'http://ann:plant7731@{}/a.csv'", gateway.address)] {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &budget.replace("${EXTRACTS:-extracts}/*.csv", &location));
        let output = run(&tiny, &[("LOCATION", &format!("http://ann:plant7731@{}/a.csv", gateway.address))]);
        let all = said_and_left(&tiny, &output);
        assert_eq!(output.status.code(), Some(0), "{all}");
        assert_eq!(holds(&all, "plant7731"), None, "{all}");
        assert!(all.contains(&format!("http://{}/a.csv", gateway.address)), "{all}");
    }
    for (location, part) in [
        ("http://ann:plant7731@HOST/none/*.csv", "cannot list"),
        ("http://HOST/a.csv?token=plant7731", "a query in a URL is not read"),
        ("http://ann:plant7731@HOST:99999/a.csv", "invalid port number"),
        ("http://ann:plant7731@/a.csv", "empty host"),
        ("ftp://ann:plant7731@HOST/a.csv", "no such store is known"),
        ("s3://bucket/a.csv?X-Amz-Signature=plant7731", "a query or fragment is no part of a location"),
    ] {
        let location = location.replace("HOST", gateway.address.split(':').next().unwrap());
        for written in ["${LOCATION}".to_owned(), format!("'{location}'")] {
            for role in ["${EXTRACTS:-extracts}/*.csv", "${DESTINATION:-out}"] {
                let tiny = Tiny::new();
                tiny.write("pipelines/tiny.yaml", &PIPELINE.replace(role, &written));
                let output = run(&tiny, &[("LOCATION", &location)]);
                let all = said_and_left(&tiny, &output);
                assert_ne!(output.status.code(), Some(0), "{location}");
                assert!(all.contains(part) || part == "cannot list", "{location}: {all}");
                assert_eq!(holds(&all, "plant7731"), None, "{location}: {all}");
            }
        }
        let tiny = Tiny::new();
        for command in ["run", "outputs", "clean"] {
            let mut arguments = vec![command, "pipelines/tiny.yaml", "--destination", &location];
            arguments.extend((command == "run").then_some(["--as-of", "2026-11-01"]).into_iter().flatten());
            let output = tiny.command(&arguments).env("SEGMILL_LOG", "trace").env("SEGMILL_STORE_DEADLINE_SECONDS", "2").output().unwrap();
            let all = said_and_left(&tiny, &output);
            assert_ne!(output.status.code(), Some(0), "{command} {location}");
            assert_eq!(holds(&all, "plant7731"), None, "{command} {location}: {all}");
        }
    }
}

/// Values of variables that would make a client panic are errors of the project that name the variable.
#[test]
fn what_no_client_can_take_is_told_by_the_variables_name() {
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "plant7731:9000"),
        ("AWS_ENDPOINT_URL", "plant7731"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:plant7731"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:65536"),
        ("AWS_ACCESS_KEY_ID", "plant7731\n"),
        ("AWS_SECRET_ACCESS_KEY", "plant7731\r"),
        ("AWS_SESSION_TOKEN", "plant7731\nX-Header: y"),
        ("AWS_REGION", "plant7731\n"),
        ("AWS_PROFILE", "plant7731"),
        ("SEGMILL_STORE_DEADLINE_SECONDS", "plant7731"),
        ("SEGMILL_LOG", "plant7731=plant7731=x"),
        ("AWS_SKIP_SIGNATURE", "plant7731"),
    ] {
        let tiny = Tiny::new();
        tiny.write("pipelines/tiny.yaml", &PIPELINE.replace("${EXTRACTS:-extracts}/*.csv", "s3://bucket/*.csv"));
        let mut command = tiny.command(&["run", "pipelines/tiny.yaml", "--as-of", "2026-11-01"]);
        for (name, value) in
            [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "SK"), ("AWS_REGION", "x"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]
        {
            command.env(name, value);
        }
        let output = command.env("HOME", tiny.folder.path()).env(name, value).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains(name) && !told.contains("plant7731") && !told.contains("panicked"), "{name}: {told}");
    }
}

/// Escape codes in the names of files, folders and columns, in SQL and in what is typed.
#[test]
fn what_a_terminal_obeys_reaches_none() {
    let folder = tempfile::tempdir().unwrap();
    copy(&package().join("tests/errors/base"), folder.path());
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\u{9b}31m";
    let header = format!("order_id,ordered_at,customer_id,country,\"am{evil}ount\"\n");
    let extract = folder.path().join(format!("extracts/or{evil}ders.csv"));
    std::fs::remove_file(folder.path().join("extracts/orders.csv")).unwrap();
    std::fs::write(&extract, format!("{header}a,2025-03-01T09:00:00,c1,GB,1\n")).unwrap();
    let pipeline = folder.path().join("pipelines/customer_segments.yaml");
    let text = std::fs::read_to_string(&pipeline).unwrap();
    let refusing = text.replace("location: extracts/orders.csv", "location: extracts/*.csv\n    unknown_columns: refuse");
    std::fs::write(&pipeline, &refusing).unwrap();
    std::fs::write(folder.path().join(format!("sql/features/a{evil}.sql")), format!("-- A\nselect '{evil}' as x from nowhere\n")).unwrap();
    let shown = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_segmill"));
        let output = command.args(arguments).current_dir(folder.path()).env("SEGMILL_LOG", "trace").output().unwrap();
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        assert_ne!(output.status.code(), Some(1), "{arguments:?}");
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).unwrap();
            let obeyed = text.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202e}'));
            assert_eq!(obeyed, None, "{arguments:?}: {text:?}");
        }
    };
    for format in ["human", "json"] {
        shown(&["validate", "--format", format]);
        shown(&["run", "--as-of", "2026-01-01", "--format", format]);
        shown(&["run", "--as-of", evil, "--format", format]);
        shown(&["outputs", "--destination", evil, "--format", format]);
        shown(&["validate", evil, "--format", format]);
    }
    std::fs::remove_file(folder.path().join(format!("sql/features/a{evil}.sql"))).unwrap();
    for format in ["human", "json"] {
        shown(&["run", "--as-of", "2026-01-01", "--format", format]);
    }
    assert!(Path::new(&extract).exists());
}
