//! Columns aligned by spaces, as kubectl prints them.

/// Spaces between columns.
const GAP: usize = 3;

/// Rows of cells. Widths only grow, so rows printed later stay aligned with earlier ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A grid with these headings; none: no heading row.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut grid = Self::default();
        if !headings.is_empty() {
            grid.row(headings.iter().map(|&h| h.to_owned()).collect());
        }
        grid
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.chars().count());
        }
        self.rows.push(cells);
    }

    /// The rows since the last call, aligned, without trailing spaces.
    pub(crate) fn drain(&mut self) -> Vec<String> {
        let rows = std::mem::take(&mut self.rows);
        rows.into_iter().map(|row| self.align(&row)).collect()
    }

    /// All rows as one text.
    pub(crate) fn text(mut self) -> String {
        self.drain().join("\n")
    }

    fn align(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&self.widths) {
            line.push_str(cell);
            let pad = width.saturating_sub(cell.chars().count()) + GAP;
            line.extend(std::iter::repeat_n(' ', pad));
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_stay_so() {
        let mut grid = Grid::new(&["NAME", "STATE"]);
        grid.row(vec!["longer-name".into(), "Running".into()]);
        grid.row(vec!["é".into(), String::new()]);
        assert_eq!(
            grid.drain(),
            ["NAME          STATE", "longer-name   Running", "é"]
        );
        grid.row(vec!["b".into(), "Failed".into()]);
        assert_eq!(grid.drain(), ["b             Failed"]);
    }
}
