//! Tables on the terminal, and goals with their verdicts.

use serde::Serialize;

/// A table of text: the first column is flush left, the others flush right.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table under these titles.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        Self { rows: vec![titles.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as Markdown, so that it can go into a document as it is.
    #[must_use]
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).max(2)).collect();
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                out += &if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
            }
            out += "|\n";
            if number == 0 {
                out += &rule(&widths);
            }
        }
        out
    }
}

/// The line under the titles, with the columns' alignment.
fn rule(widths: &[usize]) -> String {
    let dashes = |(column, width): (usize, &usize)| {
        let line = "-".repeat(width + 1);
        if column == 0 { format!("|-{line}") } else { format!("|{line}:") }
    };
    widths.iter().enumerate().map(dashes).collect::<String>() + "|\n"
}

/// On which side of its limit a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The value must not exceed the limit.
    AtMost,
    /// The value must reach the limit.
    AtLeast,
}

/// Something that must be reached.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// The limit.
    pub limit: f64,
    /// The side of the limit.
    pub side: Side,
    /// The unit of both, or empty for ratios.
    pub unit: &'static str,
}

impl Goal {
    /// A ratio that must not exceed `limit`.
    #[must_use]
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self { what: what.into(), measured, limit, side: Side::AtMost, unit: "" }
    }

    /// A ratio that must reach `limit`.
    #[must_use]
    pub fn at_least(what: impl Into<String>, measured: f64, limit: f64) -> Self {
        Self { what: what.into(), measured, limit, side: Side::AtLeast, unit: "" }
    }

    /// The same goal in a unit.
    #[must_use]
    pub fn in_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Whether it is reached.
    #[must_use]
    pub fn reached(&self) -> bool {
        match self.side {
            Side::AtMost => self.measured <= self.limit,
            Side::AtLeast => self.measured >= self.limit,
        }
    }
}

/// Prints goals with their verdicts; nothing when there are none.
pub fn print_goals(goals: &[Goal]) {
    if goals.is_empty() {
        return;
    }
    let mut table = Table::new(&["must reach", "measured", "limit", "verdict"]);
    for goal in goals {
        let sign = if goal.side == Side::AtMost { "≤" } else { "≥" };
        table.row([
            goal.what.clone(),
            format!("{:.3} {}", goal.measured, goal.unit).trim_end().to_owned(),
            format!("{sign} {} {}", goal.limit, goal.unit).trim_end().to_owned(),
            if goal.reached() { "pass" } else { "FAIL" }.to_owned(),
        ]);
    }
    println!("\n{}", table.render());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(&["tool", "s"]);
        table.row(["curl".to_owned(), "2.20".to_owned()]);
        assert_eq!(table.render(), "| tool |    s |\n|------|-----:|\n| curl | 2.20 |\n");
    }

    #[test]
    fn goals_know_their_side() {
        assert!(Goal::at_most("a", 1.0, 1.0).reached());
        assert!(!Goal::at_most("a", 1.1, 1.0).reached());
        assert!(Goal::at_least("a", 1.1, 1.0).reached());
        assert!(!Goal::at_least("a", f64::NAN, 1.0).reached(), "an unmeasured value reaches nothing");
    }
}
