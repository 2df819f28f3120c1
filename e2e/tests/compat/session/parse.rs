//! The notation of session files.
//!
//! ```text
//! # A remark.
//! <<< note.yaml            a file, up to the line `>>>`
//! @1.34+                   the next step only with kubectl 1.34 or later (`@1.33-`: or earlier)
//! $ kubectl get notes      a command, for bash; a last `\` continues it
//! ~$ kubectl get notes     a command that is repeated until it answers so
//! NAME [..]                a line of its output; `[..]` is any text
//! ...                      any number of lines
//! ! Warning: [..]          a line of its standard error
//! ? 1                      its exit code, when it is not 0
//! ```

use std::path::Path;

use e2e::{Fault, Outcome};

/// What a step needs of kubectl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Any,
    AtLeast(u32),
    AtMost(u32),
}

impl Needs {
    /// True when this minor version will do.
    pub(crate) fn met_by(self, minor: u32) -> bool {
        match self {
            Self::Any => true,
            Self::AtLeast(least) => minor >= least,
            Self::AtMost(most) => minor <= most,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix("1.")?;
        if let Some(minor) = text.strip_suffix('+') {
            return minor.parse().ok().map(Self::AtLeast);
        }
        text.strip_suffix('-')?.parse().ok().map(Self::AtMost)
    }
}

/// A command and what it must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) needs: Needs,
    pub(crate) patient: bool,
    pub(crate) command: String,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
    pub(crate) code: i32,
}

/// One file of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) files: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
}

impl Session {
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        parse(&name, &std::fs::read_to_string(path)?)
    }
}

fn parse(name: &str, text: &str) -> Outcome<Session> {
    let mut session = Session {
        name: name.to_owned(),
        files: Vec::new(),
        steps: Vec::new(),
    };
    let mut needs = Needs::Any;
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((at, line)) = lines.next() {
        let wrong = |what: &str| Fault::new(format!("{name}.session:{at}: {what}: {line}"));
        if line.starts_with('#') || line.is_empty() {
        } else if let Some(file) = line.strip_prefix("<<< ") {
            let body: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != ">>>")
                .collect();
            session
                .files
                .push((file.to_owned(), body.join("\n") + "\n"));
        } else if let Some(text) = line.strip_prefix('@') {
            needs = Needs::parse(text).ok_or_else(|| wrong("not a version"))?;
        } else if let Some((patient, command)) = command_of(line) {
            let mut step = Step {
                line: at,
                needs: std::mem::replace(&mut needs, Needs::Any),
                patient,
                command: command.to_owned(),
                stdout: Vec::new(),
                stderr: Vec::new(),
                code: 0,
            };
            while step.command.ends_with('\\') {
                let (_, more) = lines.next().ok_or_else(|| wrong("no end"))?;
                step.command.push('\n');
                step.command.push_str(more);
            }
            session.steps.push(step);
        } else {
            let step = session.steps.last_mut();
            expect(step.ok_or_else(|| wrong("no command yet"))?, line);
        }
    }
    Ok(session)
}

fn command_of(line: &str) -> Option<(bool, &str)> {
    let now = line.strip_prefix("$ ").map(|command| (false, command));
    now.or_else(|| line.strip_prefix("~$ ").map(|command| (true, command)))
}

/// Adds one line of what is expected to a step.
fn expect(step: &mut Step, line: &str) {
    if let Some(code) = line.strip_prefix("? ").and_then(|c| c.parse().ok()) {
        step.code = code;
    } else if let Some(text) = line.strip_prefix("! ") {
        step.stderr.push(text.to_owned());
    } else {
        step.stdout.push(line.to_owned());
    }
}

pub(crate) fn files_are_read_as_their_notation_says(_: &Path) {
    let text = "# x\n<<< a.yaml\nb: 1\n>>>\n@1.34+\n~$ get a \\\n  b\nNAME\n! Warning: w\n? 3\n";
    let session = parse("n", text).unwrap();
    assert_eq!(session.files, [("a.yaml".to_owned(), "b: 1\n".to_owned())]);
    let step = Step {
        line: 6,
        needs: Needs::AtLeast(34),
        patient: true,
        command: "get a \\\n  b".to_owned(),
        stdout: vec!["NAME".to_owned()],
        stderr: vec!["Warning: w".to_owned()],
        code: 3,
    };
    assert_eq!(session.steps, [step]);
    assert!(parse("n", "NAME\n").is_err());
    assert!(parse("n", "@2\n$ x\n").is_err());
}
