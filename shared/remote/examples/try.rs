//! tmp
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout, reason = "tmp")]
use lamplighter_core::update::*;
use lamplighter_core::{EnvName, Version};
use lamplighter_remote::*;
use std::time::{Duration, Instant};
#[tokio::main]
async fn main() {
    let list = std::fs::read_to_string("/tmp/lmr.list").unwrap();
    let args: Vec<String> = std::env::args().collect();
    let line = list.lines().find(|l| l.contains(&format!("\"name\":\"{}\"", args[1]))).unwrap();
    let h: serde_json::Value = serde_json::from_str(line).unwrap();
    let spec = serde_json::from_value(serde_json::json!({
        "id": h["name"], "address": h["ip"], "user": h["user"], "key": format!("file:{}", h["key_path"].as_str().unwrap()),
        "host_key": h["host_key"], "check": {"systemd": h["service"]}, "restart": {"systemd": h["service"]},
        "update": {"dir": h["app_dir"], "install": std::env::var("INSTALL").unwrap_or("./install.sh".into())},
    })).unwrap();
    let remote = Remote::new(RemoteConfig::new("/")).unwrap();
    let env: EnvName = "prod".parse().unwrap();
    let (mut target, mut previous): (Option<Version>, Option<Version>) = (None, None);
    let mut process = None;
    let mut no = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let limit = Duration::from_secs(60);
    if let Ok(n) = std::env::var("NO") {
        no = n.parse().unwrap();
    }
    for word in &args[2..] {
        let began = Instant::now();
        match word.as_str() {
            "standing" => {
                let s = remote.standing(&spec, limit).await;
                println!("{s:?}");
                if let Ok(s) = s {
                    process = s.process;
                    previous = previous.or(Some(s.version));
                }
            }
            "main" => {
                let s = remote.resolve(&spec, &Wanted::Branch("main".into()), limit).await;
                println!("{s:?}");
                target = s.ok();
            }
            "again" => no -= 1,
            w if w.starts_with("sleep") => {
                tokio::time::sleep(Duration::from_millis(w[5..].parse().unwrap())).await
            }
            w if w.starts_with("target=") => target = Some(w[7..].parse().unwrap()),
            w if w.starts_with("previous=") => previous = Some(w[9..].parse().unwrap()),
            w if w.starts_with("resolve=") => println!(
                "{:?}",
                remote.resolve(&spec, &Wanted::Version(w[8..].parse().unwrap()), limit).await
            ),
            w => {
                let (way, w) = match w.strip_prefix('-') {
                    Some(w) => (Way::Back, w),
                    None => (Way::Forward, w),
                };
                let step = match w {
                    "co" => UpdateStep::CheckOut,
                    "in" => UpdateStep::Install,
                    "re" => UpdateStep::Restart,
                    _ => panic!(),
                };
                no += 1;
                let (t, p) = (target.clone().unwrap(), previous.clone().unwrap());
                let order = UpdateOrder {
                    env: &env,
                    action_no: no,
                    way,
                    step,
                    target: &t,
                    previous: &p,
                    process: process.as_ref().filter(|_| step == UpdateStep::Restart),
                };
                println!("{:?}", remote.update(&spec, &order, time_for(step)).await);
            }
        }
        println!("   {word} {:?}", began.elapsed());
    }
}
