//! A link as a QR code, for who has a camera.

use super::out;
use cascade_format::link::SCHEME;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Rows of the terminal that are left to the link itself, which follows, and to what is shown of the receivers.
const LEFT_FREE: usize = 10;

/// Prints a link as a QR code of half-block characters, where a terminal has room for all of it: a part of a code is of no
/// use, and would push other lines off the screen. One that is too long for any code is not printed.
pub(crate) fn qr(link: &str) {
    let size = out::stdout_size();
    rows(link).iter().take_while(|row| fits(size, row)).for_each(|row| out::line(row));
}

/// Whether a code with this row has room on a terminal of this many columns and rows.
fn fits(size: Option<(usize, usize)>, row: &str) -> bool {
    // A code is a square, and a row of characters is two of its rows.
    let width = row.chars().count();
    size.is_some_and(|(columns, rows)| width <= columns && width.div_ceil(2) + LEFT_FREE <= rows)
}

fn rows(link: &str) -> Vec<String> {
    // In capitals scheme and hash take a third less room.
    let end = link.find('?').unwrap_or(link.len());
    let (head, rest) = link.split_at(end.max(SCHEME.len()).min(link.len()));
    let text = head.to_ascii_uppercase() + rest;
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return Vec::new() };
    // Most terminals are dark: what is light in the code is drawn, with a margin around it.
    let code = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    code.lines().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::text;

    #[test]
    fn a_code_is_square_and_goes_to_a_terminal_unchanged() {
        let link = format!("cascade:{}?name=film.mkv&peer=192.168.1.5%3A8889", "7f".repeat(32));
        let rows = rows(&link);
        let width = rows[0].chars().count();
        assert!(width < 80 && rows.len() == width.div_ceil(2), "{width} by {}", rows.len());
        assert!(rows.iter().all(|row| row.chars().count() == width && text::line(row) == *row));
        assert!(super::rows(&"x".repeat(5000)).is_empty());
        let (room, row) = (width.div_ceil(2) + LEFT_FREE, &rows[0]);
        let fitting = [Some((width, room)), Some((width - 1, room)), Some((width, room - 1)), None];
        assert_eq!(fitting.map(|size| fits(size, row)), [true, false, false, false]);
    }
}
