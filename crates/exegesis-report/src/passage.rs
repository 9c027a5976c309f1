//! Text with tokens broken into lines of a fixed-width font, for figures.

use unicode_width::UnicodeWidthChar;

use crate::data::{TextView, TokenKind};
use crate::text::{one_line, width};

/// A piece of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Line, from 0.
    pub line: usize,
    /// Column of its first character.
    pub column: usize,
    /// What is written.
    pub text: String,
    /// Positions of the tokens that it stands for; none for what is between tokens.
    pub tokens: Vec<usize>,
    /// What these are there for.
    pub kind: TokenKind,
}

/// Lays a text out in lines of `columns`; words stay whole where they fit. At most `most` lines; the second value is true if
/// that was not enough.
pub(crate) fn lay_out(view: &TextView, columns: usize, most: usize) -> (Vec<Placed>, bool) {
    let columns = columns.max(8);
    let mut placed: Vec<Placed> = vec![];
    let (mut line, mut column) = (0, 0);
    let stretches = view.stretches();
    for (at, stretch) in stretches.iter().enumerate() {
        // A word may be several stretches: it moves to the next line as one.
        let starts_word = at == 0
            || stretch.kind == TokenKind::Special
            || stretches[at - 1].kind == TokenKind::Special
            || stretches[at - 1].text.ends_with(char::is_whitespace);
        if starts_word && stretch.kind == TokenKind::Special && column > 0 {
            column += usize::from(placed.last().is_some_and(|p| p.column + width(&p.text) == column));
        }
        if starts_word && column > 0 {
            let mut rest = 0;
            for (ahead, other) in stretches.iter().enumerate().skip(at) {
                if ahead > at
                    && (other.kind == TokenKind::Special || other.text.starts_with(char::is_whitespace))
                {
                    break;
                }
                rest += other.text.split(char::is_whitespace).next().map_or(0, width);
                if other.text.contains(char::is_whitespace) {
                    break;
                }
            }
            if column + rest > columns && rest <= columns {
                (line, column) = (line + 1, 0);
            }
        }
        let mut run = String::new();
        let mut begins = column;
        let flush = |run: &mut String, line: usize, begins: usize, placed: &mut Vec<Placed>| {
            if !run.is_empty() {
                let text = std::mem::take(run);
                let tokens = stretch.tokens.clone();
                placed.push(Placed { line, column: begins, text, tokens, kind: stretch.kind });
            }
        };
        for c in stretch.text.chars() {
            if c == '\n' {
                flush(&mut run, line, begins, &mut placed);
                (line, column, begins) = (line + 1, 0, 0);
                continue;
            }
            let wide = c.width().unwrap_or(0);
            if column + wide > columns {
                flush(&mut run, line, begins, &mut placed);
                (line, column, begins) = (line + 1, 0, 0);
            }
            if c.is_whitespace() && column == 0 && stretch.tokens.is_empty() {
                continue;
            }
            if run.is_empty() {
                begins = column;
            }
            run.push_str(&one_line(c.encode_utf8(&mut [0; 4])));
            column += wide;
        }
        flush(&mut run, line, begins, &mut placed);
        if stretch.kind == TokenKind::Special && column > 0 {
            column += 1;
        }
        if line >= most {
            placed.retain(|p| p.line < most);
            return (placed, true);
        }
    }
    (placed, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TextToken;

    fn view(text: &str, parts: &[(&str, TokenKind)]) -> TextView {
        let mut at = 0;
        let tokens = parts.iter().enumerate().map(|(id, (part, kind))| {
            let (start, end) = match text[at..].find(part).filter(|_| *kind == TokenKind::Text) {
                Some(found) => (at + found, at + found + part.len()),
                None => (0, 0),
            };
            at = at.max(end);
            TextToken { id: id as i64, name: part.to_string(), start, end, word: None, kind: *kind }
        });
        TextView { text: text.to_string(), tokens: tokens.collect() }
    }

    /// Catches text that is lost or written twice, words that are torn apart, and lines that are too long.
    #[test]
    fn all_of_the_text_is_laid_out_and_words_stay_whole() {
        use TokenKind::{Special, Text};
        let view = view(
            "An un😀usual film, truly.\nBravo",
            &[
                ("[CLS]", Special),
                ("An", Text),
                ("un", Text),
                ("😀usual", Text),
                ("film", Text),
                (",", Text),
                ("truly", Text),
                (".", Text),
                ("Bravo", Text),
                ("[SEP]", Special),
            ],
        );
        let (placed, is_cut) = lay_out(&view, 12, 99);
        assert!(!is_cut);
        let written: String = placed.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(written.replace(' ', ""), "[CLS]Anun😀usualfilm,truly.Bravo[SEP]");
        assert!(placed.iter().all(|p| p.column + width(&p.text) <= 12), "{placed:?}");
        let line = |text: &str| placed.iter().find(|p| p.text == text).unwrap().line;
        assert_eq!(line("un"), line("😀usual"));
        assert_eq!((line("film"), line("Bravo")), (line(","), line(".") + 1));
        assert!(lay_out(&view, 12, 2).1);
    }
}
