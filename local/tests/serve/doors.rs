//! A server that cannot have what it was given says so in a sentence, and ends.

use std::path::Path;
use std::process::Output;

use super::program::Home;

const NOTHING: &str = "[[env.prod.service]]\nid = 'later'\naddress = '127.0.0.1:9'\nlifecycle = 'provisioning'\n\
    check = { tcp = 9 }\nrestart = 'never'\n";

fn home() -> Home {
    Home::new("", "every = '1h'", NOTHING)
}

fn serve(home: &Home, data: &Path, listen: &str) -> Output {
    let data = data.to_str().unwrap();
    home.run(&["serve", "--config", "lamplighter.toml", "--listen", listen, "--data", data])
}

fn refused(output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "not `{words}`, but: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_second_server_on_one_data_folder_is_refused_and_the_first_goes_on() {
    let home = home();
    let first = home.serve();
    let second = serve(&home, &home.data(), "127.0.0.1:0");
    refused(
        &second,
        "prod.sqlite` is in use by another process; stop that one, or use another data directory",
    );
    assert_eq!(home.service(&first, "later")["status"], "unknown");
}

#[test]
fn a_taken_port_is_named() {
    let home = home();
    let first = home.serve();
    let address = first.url.strip_prefix("http://").unwrap();
    let second = serve(&home, &home.path().join("elsewhere"), address);
    refused(&second, &format!("error: cannot listen on {address}: "));
    assert!(!home.path().join("elsewhere").exists(), "a refused server leaves nothing behind");
}

#[test]
fn a_file_of_somebody_else_is_refused_and_left_as_it_was() {
    let home = home();
    std::fs::create_dir(home.data()).unwrap();
    let file = home.data().join("prod.sqlite");
    let theirs = "their diary, which is no table\n".repeat(1_000);
    std::fs::write(&file, &theirs).unwrap();
    refused(&serve(&home, &home.data(), "127.0.0.1:0"), "prod.sqlite` was not made by Lamplighter");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);
}

#[test]
fn data_of_another_env_is_refused() {
    let home = home();
    // Told to stop in its first moment, it still ends in good order.
    assert!(home.serve().terminate().0.success());
    let theirs = home.path().join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::copy(home.data().join("prod.sqlite"), theirs.join("dev.sqlite")).unwrap();
    let config = "[env.dev]\nevery = '1h'\n";
    std::fs::write(home.path().join("lamplighter.toml"), config).unwrap();
    refused(&serve(&home, &theirs, "127.0.0.1:0"), "belongs to the env `prod`, not `dev`");
}

#[test]
fn an_env_whose_data_cannot_be_used_does_not_keep_the_others_from_going_on() {
    let home = Home::new("", "every = '1h'", NOTHING);
    let config = std::fs::read_to_string(home.path().join("lamplighter.toml")).unwrap();
    std::fs::write(home.path().join("lamplighter.toml"), format!("{config}[env.dev]\nevery = '1h'\n"))
        .unwrap();
    std::fs::create_dir(home.data()).unwrap();
    std::fs::write(home.data().join("dev.sqlite"), "their diary\n".repeat(1_000)).unwrap();
    let server = home.serve();
    assert_eq!(home.service(&server, "later")["status"], "unknown");
    assert!(server.said.all().join("\n").contains("env `dev` is left out until this is mended"));
}
