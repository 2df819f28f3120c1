//! What a task's spec must mean, in a Task or as a member of a TaskGroup.

use super::{At, Check};
use crate::resources::GPUS;
use crate::schema::FieldError;

impl Check {
    pub(super) fn task(&mut self, spec: &At<'_>) {
        self.command(&spec.field("command"));
        self.env(&spec.field("env"));
        self.amounts(spec);
        for constraint in spec.field("constraints").items() {
            self.constraint(&constraint);
        }
        self.span(&spec.field("killPolicy").field("gracePeriod"));
        let (first, longest) = (
            spec.field("retry").field("backoff"),
            spec.field("retry").field("maxBackoff"),
        );
        if let (Some(backoff), Some(most)) = (self.span(&first), self.span(&longest))
            && backoff > most
        {
            self.invalid(&longest, &format!("is less than backoff, {backoff}"));
        }
    }

    fn command(&mut self, command: &At<'_>) {
        if command.items().next().is_none() {
            let absent = command.value.is_null() || command.value.is_array();
            if absent {
                let why = r#"a task runs something, e.g. ["/bin/sh", "-c", "echo hello"]"#;
                self.errors
                    .push(FieldError::required(command.path.clone(), why));
            }
            return;
        }
        for (index, word) in command.items().enumerate() {
            let text = word.text().unwrap_or("-");
            if index == 0 && text.is_empty() {
                self.invalid(&word, "the program has no name");
            }
            if text.contains('\0') {
                self.invalid(&word, "no system passes a NUL character to a program");
            }
        }
    }

    /// As in Kubernetes: anything printable but `=`.
    fn env(&mut self, env: &At<'_>) {
        for (name, value) in env.fields() {
            let good = !name.is_empty()
                && name
                    .bytes()
                    .all(|b| (b' '..=b'~').contains(&b) && b != b'=');
            if !good {
                self.invalid(
                    &value,
                    "the variable's name must be printable ASCII without '='",
                );
            }
            if value.text().is_some_and(|text| text.contains('\0')) {
                self.invalid(&value, "no system passes a NUL character to a program");
            }
        }
    }

    fn amounts(&mut self, spec: &At<'_>) {
        let limits = spec.field("limits");
        let asked = self.resources(&spec.field("resources"));
        let ceiling = self.resources(&limits);
        let why = "a limit is an amount; ports are asked for in resources";
        self.no_ports(&limits, why);
        if let Some(gpus) = limits.value.get(GPUS).map(|_| limits.field(GPUS)) {
            self.errors.push(FieldError::forbidden(
                gpus.path,
                "gpus are whole; ask for them in resources",
            ));
        }
        if let (Some(asked), Some(ceiling)) = (asked, ceiling) {
            self.at_least(&limits, &ceiling, &asked, "what is asked for in resources");
        }
    }

    fn constraint(&mut self, constraint: &At<'_>) {
        let values = constraint.field("values");
        let any = values.items().next().is_some();
        match constraint.field("operator").text() {
            Some(operator @ ("In" | "NotIn")) if !any => {
                let why = format!("{operator} compares with a list, e.g. values: [r1, r2]");
                self.errors.push(FieldError::required(values.path, &why));
            }
            Some(operator @ ("Exists" | "DoesNotExist")) if any => {
                self.errors.push(FieldError::forbidden(
                    values.path,
                    &format!("{operator} takes no values"),
                ));
            }
            Some(_) | None => {}
        }
    }
}
