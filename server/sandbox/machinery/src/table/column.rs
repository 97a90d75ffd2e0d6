//! Column definitions.

use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// `name` for the column that carries the object's name, else empty.
    pub format: &'static str,
    /// 0 always, 1 with `-o wide`.
    pub priority: u8,
}

const fn column(name: &'static str, kind: &'static str, format: &'static str, priority: u8) -> Column {
    Column { name, kind, format, priority }
}

pub(super) const fn name() -> Column {
    column("Name", "string", "name", 0)
}

pub(super) const fn named(title: &'static str) -> Column {
    column(title, "string", "name", 0)
}

pub(super) const fn named_wide(title: &'static str) -> Column {
    column(title, "string", "name", 1)
}

pub(super) const fn text(title: &'static str) -> Column {
    column(title, "string", "", 0)
}

pub(super) const fn wide(title: &'static str) -> Column {
    column(title, "string", "", 1)
}

pub(super) const fn integer(title: &'static str) -> Column {
    column(title, "integer", "", 0)
}

pub(super) const fn boolean(title: &'static str) -> Column {
    column(title, "boolean", "", 0)
}

pub(super) const fn date(title: &'static str) -> Column {
    column(title, "date", "", 0)
}

pub(super) const fn age() -> Column {
    text("Age")
}

impl Column {
    pub fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.kind, "format": self.format, "description": self.description(), "priority": self.priority})
    }

    /// What the column says, in our words: no client prints it, generic ones show it as a tooltip.
    fn description(&self) -> &'static str {
        match self.name {
            "Name" => "Name of the object, unique in its namespace.",
            "Age" | "Created At" => "When the object was created.",
            "Ready" => "How many of the wanted parts are ready.",
            "Status" | "State" | "Condition" => "What state the object is in.",
            "Restarts" => "How often containers were restarted, and how long ago the last time was.",
            "IP" | "Internal-IP" | "External-IP" | "Cluster-IP" => "Address of the object.",
            "Node" | "Nominated Node" => "Node that this belongs to.",
            "Readiness Gates" => "How many extra readiness conditions are true.",
            "Containers" => "Names of the containers.",
            "Images" => "Images of the containers.",
            "Selector" | "Pod-Selector" | "Node Selector" => "What is selected by label.",
            "Desired" => "How many are wanted.",
            "Current" => "How many exist.",
            "Up-to-date" => "How many follow the newest template.",
            "Available" => "How many are available.",
            "Data" => "How many keys the object holds.",
            "Type" => "Kind of the entry.",
            "Port(s)" | "Ports" => "Ports that are served.",
            "Schedule" => "When it runs, in cron's format.",
            "Last Seen" | "First Seen" => "When this happened.",
            "Reason" => "Why, in one word.",
            "Message" => "What happened.",
            "Object" | "Subobject" => "What the event is about.",
            "Source" => "Who reported the event.",
            "Count" => "How often this happened.",
            _ => "",
        }
    }
}
