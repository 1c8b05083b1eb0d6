//! Where answers are shown: how wide it is, and whether it has colours.

use crate::text::printable;
use anstyle::{AnsiColor, Style};
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The narrowest width that is heeded.
const NARROWEST: usize = 40;

/// What a text means, shown by its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Head,
    Dim,
    Good,
    Warning,
    Bad,
    /// One of several things that are told apart, by its number.
    Of(usize),
}

/// Standard output. Only a terminal has a width and colours.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    width: Option<usize>,
    has_colours: bool,
}

impl Screen {
    /// Looks at standard output. `NO_COLOR` and `TERM=dumb` turn colours off.
    pub fn of_stdout() -> Self {
        let out = io::stdout();
        let choice = anstream::AutoStream::choice(&out);
        let width = terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
        Self {
            width: width.map(|width| width.max(NARROWEST)),
            has_colours: out.is_terminal() && choice != anstream::ColorChoice::Never,
        }
    }

    /// Returns a screen of this width without colours, or paper without an end.
    #[cfg(test)]
    pub fn plain(width: Option<usize>) -> Self {
        Self { width, has_colours: false }
    }

    /// Returns the width in columns. `None` is as wide as it takes.
    pub fn width(self) -> Option<usize> {
        self.width
    }

    /// Colours a text.
    pub fn paint(self, text: &str, tone: Tone) -> Cow<'_, str> {
        let style = match tone {
            Tone::Plain => return Cow::Borrowed(text),
            _ if !self.has_colours || text.is_empty() => return Cow::Borrowed(text),
            Tone::Head => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warning => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Of(number) => {
                const COLOURS: [AnsiColor; 5] = [
                    AnsiColor::Cyan,
                    AnsiColor::Magenta,
                    AnsiColor::Blue,
                    AnsiColor::Green,
                    AnsiColor::Yellow,
                ];
                COLOURS[number % COLOURS.len()].on_default()
            }
        };
        Cow::Owned(format!("{style}{text}{style:#}"))
    }
}

/// Returns the columns that a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Makes an untrusted text safe, and cuts it to so many columns, with a sign of the cut.
pub fn clipped(text: &str, most: Option<usize>) -> String {
    let text = printable(text);
    let Some(most) = most.filter(|&most| columns(&text) > most) else { return text.into_owned() };
    let (mut taken, mut clipped) = (0, String::new());
    for one in text.chars() {
        let wide = one.width().unwrap_or(0);
        if taken + wide > most.saturating_sub(1) {
            break;
        }
        taken += wide;
        clipped.push(one);
    }
    clipped.push('…');
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns_and_escaped_before() {
        assert_eq!(clipped("short", Some(5)), "short");
        assert_eq!(clipped("longer", Some(5)), "long…");
        assert_eq!(clipped("日本語", Some(5)), "日本…");
        assert_eq!(clipped("日本語", Some(4)), "日…");
        assert_eq!(clipped("a\u{1b}[2J\nb", None), "a\\u{1b}[2J\\nb");
        assert_eq!(clipped("x", Some(0)), "…");
    }

    #[test]
    fn there_are_colours_on_a_terminal_only() {
        assert_eq!(Screen::plain(None).paint("x", Tone::Bad), "x");
        let screen = Screen { width: None, has_colours: true };
        let painted = screen.paint("x", Tone::Bad);
        assert!(painted.starts_with("\u{1b}[") && painted.ends_with("\u{1b}[0m"), "{painted:?}");
        assert_eq!(screen.paint("x", Tone::Plain), "x");
    }
}
