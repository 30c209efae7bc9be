//! What shells complete and manual pages say: that of the commands themselves, judged by real shells and by groff.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
};

use crate::cli::{Run, claimsmith, run, run_with};

/// The commands, as `--help` lists them.
fn commands() -> Vec<String> {
    let help = run(claimsmith(&["--help"])).out;
    let (_, list) = help.split_once("Commands:\n").expect("there is a list");
    let (list, _) = list.split_once("\n\n").expect("the list ends");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.len() >= 13, "{names:?}");
    names
}

fn script(shell: &str) -> String {
    let ran = run(claimsmith(&["completions", shell]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.out
}

/// A program of the system with a text on its standard input; none if it is not there, which is said.
#[expect(clippy::print_stdout, reason = "a check that is left out is told")]
fn tool(name: &str, arguments: &[&str], input: &str) -> Option<Run> {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("{name} is not here, so it was not asked");
        return None;
    }
    Some(run_with(command, input))
}

#[test]
fn a_real_bash_completes_commands_options_and_words() {
    let asked = |words: &[&str]| {
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let call = format!(
            "\ncomplete -p claimsmith >&2\nCOMP_WORDS=({line}); COMP_CWORD={}; COMP_LINE='{}'; COMP_POINT=${{#COMP_LINE}}\n\
             _claimsmith claimsmith '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.len() - 1,
            words.join(" "),
        );
        let ran =
            tool("bash", &["--norc", "--noprofile"], &(script("bash") + call.as_str())).expect("bash is everywhere");
        assert!(ran.err.contains("-F _claimsmith"), "it is not registered: {}", ran.err);
        ran.out.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let all = asked(&["claimsmith", ""]);
    for command in commands() {
        assert!(all.contains(&command), "{command} is not among {all:?}");
    }
    assert_eq!(asked(&["claimsmith", "sch"]), BTreeSet::from(["schema".to_owned()]));
    assert_eq!(asked(&["claimsmith", "fmt", "--che"]), BTreeSet::from(["--check".to_owned()]));
    let formats = asked(&["claimsmith", "check", "--format", ""]);
    assert!(formats.contains("sarif") && formats.contains("github"), "{formats:?}");
    assert_eq!(asked(&["claimsmith", "completions", "po"]), BTreeSet::from(["powershell".to_owned()]));
}

#[test]
fn every_shell_is_told_of_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let text = script(shell);
        for command in commands() {
            assert!(text.contains(&command), "{shell}: {command}");
        }
        // Where the shell is there, it reads the script and finds no fault.
        if let Some(ran) = (shell != "powershell").then(|| tool(shell, &["-n"], &text)).flatten() {
            assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{shell}");
        }
    }
    assert_eq!(run(claimsmith(&["completions", "tcsh"])).code, Some(2));
}

#[test]
fn manual_pages_name_every_command_and_render() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let dir = folder.path().join("man1");
    let ran = run(claimsmith(&["man", dir.to_str().expect("paths of tests are UTF-8")]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let whole = fs::read_to_string(dir.join("claimsmith.1")).expect("it was written");
    assert_eq!(run(claimsmith(&["man"])).out.lines().next(), whole.lines().next());
    for command in commands() {
        let name = format!("claimsmith-{command}");
        assert!(whole.replace('\\', "").contains(&format!("{name}(1)")), "{name} is not in the page of the program");
        let page = fs::read_to_string(dir.join(format!("{name}.1"))).expect("every command has a page");
        let Some(ran) = tool("groff", &["-man", "-Tutf8", "-ww", "-P-cbou"], &page) else { continue };
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{name}");
        let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("SYNOPSIS") && words.contains(&format!("claimsmith {command}")), "{name}: {}", ran.out);
    }
    let nowhere = run(claimsmith(&["man", "/proc/nowhere"]));
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.out);
}
