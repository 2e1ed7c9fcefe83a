//! What the functions may do with the table: just what the verbs do.
//!
//! Every verb is played for real, each as a process of its own, through stories in which it has everything to do. What it
//! asked the table for must be allowed by its role; what its role allows must have been asked for.

use std::collections::BTreeSet;

use lamplighter_tests::sim::functions::{Function, Touch, Touched};
use serde_json::Value;

use crate::reader::{assert_none, each, read, resources, template, texts};
use crate::stories::{play_journeys, play_stories};

/// One right of a role: an action on the partitions of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    to: String,
    action: String,
    pattern: String,
}

/// The statements of a function's role.
fn statements<'t>(template: &'t Value, function: &str) -> Vec<&'t Value> {
    let name = role_of(template, function);
    let role = &template["Resources"][&name]["Properties"];
    assert!(role["ManagedPolicyArns"].is_null(), "`{name}` has rights that are written down elsewhere");
    let policies = each(&role["Policies"]).flat_map(|policy| each(&policy["PolicyDocument"]["Statement"]));
    // A statement that is there only under a condition counts as if it held.
    policies
        .map(|statement| if statement["Fn::If"].is_array() { &statement["Fn::If"][1] } else { statement })
        .collect()
}

fn role_of(template: &Value, function: &str) -> String {
    let found = resources(template, "AWS::Serverless::Function").find_map(|(name, properties)| {
        let binary = &template["Resources"][name]["Metadata"]["BuildProperties"]["Binary"];
        (binary == function).then(|| properties["Role"]["Fn::GetAtt"].as_str())?
    });
    let role = found.unwrap_or_else(|| panic!("`{function}` has no role of its own"));
    role.trim_end_matches(".Arn").to_owned()
}

/// What a function may do with the items of the table.
fn rights(template: &Value, function: &str) -> Vec<Right> {
    let mut rights = Vec::new();
    for statement in statements(template, function) {
        let patterns = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        for action in texts(&statement["Action"]).filter_map(|action| action.strip_prefix("dynamodb:")) {
            assert!(patterns.is_array(), "`{function}` may `{action}` with every item");
            rights.extend(texts(patterns).map(|pattern| Right {
                to: function.to_owned(),
                action: action.to_owned(),
                pattern: pattern.to_owned(),
            }));
        }
    }
    rights
}

/// As IAM compares: `*` stands for anything. Patterns here have it at their end alone.
fn is_like(pattern: &str, partition: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => partition.starts_with(start),
        None => partition == pattern,
    }
}

fn allows(right: &Right, touch: &Touch) -> bool {
    right.to == touch.by.as_str() && right.action == touch.action && is_like(&right.pattern, &touch.partition)
}

/// What is wrong with the rights, given what was asked for: a sentence each.
fn breaches(rights: &[Right], touched: &BTreeSet<Touch>) -> Vec<String> {
    let missing = touched.iter().filter(|touch| !rights.iter().any(|right| allows(right, touch)));
    let missing = missing.map(|touch| {
        let (by, action, partition) = (touch.by.as_str(), &touch.action, &touch.partition);
        format!("`{by}` does `{action}` on `{partition}`, and its role does not allow it")
    });
    let idle = rights.iter().filter(|right| !touched.iter().any(|touch| allows(right, touch))).map(|right| {
        let Right { to, action, pattern } = right;
        format!("`{to}` may do `{action}` on `{pattern}`, and never does: take it out of its role, or tell the story")
    });
    missing.chain(idle).collect()
}

#[test]
fn each_function_may_do_with_the_table_what_it_does_and_nothing_else() {
    let template = template();
    let touched = Touched::default();
    std::thread::scope(|side| {
        side.spawn(|| play_stories(&touched));
        play_journeys(&touched);
    });
    let touched = touched.all();
    print_table(&touched);
    let rights: Vec<Right> =
        Function::ALL.into_iter().flat_map(|function| rights(&template, function.as_str())).collect();
    assert!(rights.len() > 40 && touched.len() > 60, "{} rights, {} needed", rights.len(), touched.len());
    assert_none(&breaches(&rights, &touched));
}

/// What was measured, a line for each function and action.
fn print_table(touched: &BTreeSet<Touch>) {
    let kind = |partition: &str| match partition.split_once('#') {
        Some((kind, _)) => format!("{kind}#*"),
        None => partition.to_owned(),
    };
    let lines: BTreeSet<(Function, &str)> =
        touched.iter().map(|touch| (touch.by, touch.action.as_str())).collect();
    for (by, action) in lines {
        let of = touched.iter().filter(|touch| touch.by == by && touch.action == action);
        let kinds: BTreeSet<String> = of.map(|touch| kind(&touch.partition)).collect();
        println!("{:8} {action:18} {}", by.as_str(), kinds.into_iter().collect::<Vec<_>>().join(" "));
    }
}

/// The rights to anything but the table, and the conditions that they stand under.
const OTHER_RIGHTS: [(&str, &[&str]); 5] = [
    ("api", &["ssm:GetParameter", "kms:Decrypt", "sqs:SendMessage"]),
    (
        "sweep",
        &[
            "ssm:GetParameter",
            "kms:Decrypt",
            "sqs:SendMessage",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "lambda:InvokeFunction",
        ],
    ),
    ("recover", &["ssm:GetParameter", "kms:Decrypt", "sqs:SendMessage"]),
    ("advance", &["ssm:GetParameter", "kms:Decrypt", "sqs:SendMessage"]),
    ("notify", &["ses:SendRawEmail", "sqs:SendMessage"]),
];
/// What every function may do besides.
const LOGGING: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];
/// Actions that are allowed under a condition only, and the key that it is about.
const CONDITIONS: [(&str, &str); 3] = [
    ("kms:Decrypt", "kms:EncryptionContext:PARAMETER_ARN"),
    ("kms:Decrypt", "kms:ViaService"),
    ("ses:SendRawEmail", "ses:FromAddress"),
];

#[test]
fn each_function_may_do_nothing_else_but_what_is_listed_here() {
    let template = template();
    let mut wrong = Vec::new();
    for (function, listed) in OTHER_RIGHTS {
        let mut allowed = BTreeSet::new();
        for statement in statements(&template, function) {
            wrong.extend(too_wide(function, statement));
            allowed.extend(texts(&statement["Action"]).filter(|action| !action.starts_with("dynamodb:")));
        }
        let listed: BTreeSet<&str> = listed.iter().copied().chain(LOGGING).collect();
        wrong.extend(allowed.difference(&listed).map(|action| format!("`{function}` may `{action}`: why?")));
        wrong.extend(listed.difference(&allowed).map(|action| format!("`{function}` needs `{action}`")));
    }
    let may_scan = |function: &&str| {
        statements(&template, function)
            .iter()
            .any(|one| texts(&one["Action"]).any(|action| action == "dynamodb:Scan"))
    };
    let scanning: Vec<&str> = OTHER_RIGHTS.iter().map(|(function, _)| *function).filter(may_scan).collect();
    assert_eq!(scanning, ["api"], "who may read the whole table");
    assert_none(&wrong);
}

/// What is too wide in one statement.
fn too_wide(function: &str, statement: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let condition = statement["Condition"].to_string();
    for action in texts(&statement["Action"]) {
        if action.contains('*') {
            wrong.push(format!("`{function}` may `{action}`, which names no action"));
        }
        for (_, key) in CONDITIONS.iter().filter(|(of, key)| *of == action && !condition.contains(key)) {
            wrong.push(format!("`{function}` may `{action}` whatever `{key}` is"));
        }
    }
    for resource in each(&statement["Resource"]).filter(|resource| **resource == "*") {
        wrong.push(format!("`{function}` may {} on {resource}", statement["Action"]));
    }
    wrong
}

#[test]
fn a_right_that_is_missing_and_one_that_is_idle_are_noticed() {
    let right = |action: &str, pattern: &str| Right {
        to: "sweep".to_owned(),
        action: action.to_owned(),
        pattern: pattern.to_owned(),
    };
    let touch = |action: &str, partition: &str| Touch {
        by: Function::Sweep,
        action: action.to_owned(),
        partition: partition.to_owned(),
    };
    let done = BTreeSet::from([touch("PutItem", "SHARD#007")]);
    assert_eq!(breaches(&[right("PutItem", "SHARD#*")], &done), Vec::<String>::new());
    for other in [right("PutItem", "SHARDS"), right("GetItem", "SHARD#*"), right("PutItem", "SHARD#000")] {
        assert_eq!(breaches(&[other], &done).len(), 2, "one is missing, one is idle");
    }
    let of_another = Right { to: "notify".to_owned(), ..right("PutItem", "SHARD#*") };
    assert_eq!(breaches(&[of_another], &done).len(), 2);
    let scan = BTreeSet::from([touch("Scan", "")]);
    assert_eq!(breaches(&[], &scan).len(), 1, "nobody reads the whole table");
    for wide in [
        "{Action: 'sqs:*', Resource: x}",
        "{Action: sqs:SendMessage, Resource: '*'}",
        "{Action: kms:Decrypt, Resource: x, Condition: {StringEquals: {kms:ViaService: y}}}",
        "{Action: ses:SendRawEmail, Resource: x}",
    ] {
        assert_eq!(too_wide("sweep", &read(wide)).len(), 1, "{wide}");
    }
}
