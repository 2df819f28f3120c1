//! What parses, what does not, and where it says so.

use super::*;

#[test]
fn what_does_not_parse_is_placed() {
    for (text, at, part) in [
        ("", 0, "mismatched input '<EOF>'"),
        ("self.", 5, "expecting IDENTIFIER"),
        ("self.a ==", 9, "mismatched input '<EOF>'"),
        ("(1 + 2", 6, "expecting ')'"),
        ("1 2", 2, "extraneous input '2'"),
        ("'abc", 0, "token recognition error"),
        ("a # b", 2, "token recognition error at: '#'"),
        ("has(a)", 4, "invalid argument to has() macro"),
        ("a.all(b.c, true)", 7, "argument must be a simple name"),
        ("9223372036854775808", 0, "invalid int literal"),
        ("if", 0, "reserved identifier: if"),
        ("'\\q'", 1, "invalid escape sequence"),
    ] {
        let problem = parse(text).unwrap_err();
        assert_eq!(problem.at, at, "{text}: {problem:?}");
        assert!(problem.text.contains(part), "{text}: {problem:?}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for text in [
        "(".repeat(5_000),
        "!".repeat(5_000),
        "-".repeat(5_000),
        "[".repeat(5_000),
        "a".to_owned() + &".b".repeat(5_000),
        "1".to_owned() + &" + 1".repeat(5_000),
        "a ? b : ".repeat(5_000),
        "x".repeat(LENGTH_MAX + 1),
    ] {
        let problem = parse(&text).unwrap_err();
        assert!(problem.text.contains("exceed"), "{problem:?}");
    }
    let flat = "a || ".repeat(5_000) + "b";
    assert!(matches!(parse(&flat).unwrap().kind, Kind::Or(terms) if terms.len() == 5_001));
}

#[test]
fn literals() {
    for (text, literal) in [
        ("-9223372036854775808", Literal::Int(i64::MIN)),
        ("0x1F", Literal::Int(31)),
        ("7u", Literal::Uint(7)),
        ("-1.5e2", Literal::Double(-150.0)),
        (r#"'a\n\x41\u00e9'"#, Literal::String("a\nA\u{e9}".into())),
        (r#"r'\d'"#, Literal::String("\\d".into())),
        (r#""""a"b""""#, Literal::String("a\"b".into())),
        (r#"b'\xff\000'"#, Literal::Bytes(vec![255, 0].into())),
    ] {
        assert_eq!(parse(text).unwrap().kind, Kind::Literal(literal), "{text}");
    }
}
