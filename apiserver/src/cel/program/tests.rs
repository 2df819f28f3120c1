//! One row for each function and rule of the language.

use serde_json::{Value as Json, json};

use super::*;

fn object() -> Json {
    json!({
        "name": "web-1", "n": 5, "ratio": 0.5, "on": true, "none": null,
        "list": [3, 1, 2], "words": ["a", "b", "a"], "map": {"x": 1, "y": 2},
        "items": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
    })
}

fn evaluate(text: &str) -> Result<Json, String> {
    let program = Program::compile(text, &["o"]).map_err(|text| format!("compile: {text}"))?;
    let value = program.evaluate(&[("o", &object())], &mut Budget::default());
    value.map_err(|error| error.to_string())
}

/// Everything here is true.
const TRUTHS: &str = r#"
o.name == 'web-1' && o.n == 5 && o.ratio == 0.5 && o.on && o.none == null
1 + 2 * 3 - 4 / 2 % 3 == 5
7u + 1u == 8u && 1 == dyn(1.0) && 1 < 1.5 && 2u > 1
'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && b'a' + b'b' == b'ab'
has(o.name) && !has(o.missing) && has(o.map.x)
o.missing == 1 || true
!(o.missing == 1 && false)
o.on ? true : o.missing
2 in o.list && !('z' in o.map) && 'x' in o.map
o.list.all(i, i > 0) && o.list.exists(i, i == 3) && o.list.exists_one(i, i == 1)
o.list.all(i, i < 9 || o.missing) && o.map.all(k, k in ['x', 'y'])
o.list.map(i, i * 2) == [6, 2, 4] && o.list.map(i, i > 1, i) == [3, 2] && o.list.filter(i, i > 1) == [3, 2]
o.list.all(i, v, i < 3 && v > 0) && o.map.exists(k, v, k == 'y' && v == 2)
o.list.transformList(i, v, i + v) == [3, 2, 4] && o.list.transformList(i, v, i > 0, v) == [1, 2]
o.map.transformMap(k, v, v * 10) == {'x': 10, 'y': 20}
o.map.transformMapEntry(k, v, {v: k}) == {1: 'x', 2: 'y'}
size('héllo') == 5 && [1].size() == 1 && size({'a': 1}) == 1 && size(b'ab') == 2
type(1) == int && type('a') == string && type(o.list) == list
int('7') == 7 && double('1.5') == 1.5 && string(1) == '1' && uint(3) == 3u && bool('true') && int(1.9) == 1
string(1.0) == '1' && string(true) == 'true' && string(b'x') == 'x' && bytes('x') == b'x'
'hello'.charAt(1) == 'e' && 'héllo'.indexOf('l') == 2 && 'abcabc'.lastIndexOf('b') == 4 && 'abcabc'.indexOf('b', 2) == 4
'aBc'.lowerAscii() == 'abc' && 'aBc'.upperAscii() == 'ABC' && ' a '.trim() == 'a'
'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '', 1) == 'ab-c'
'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'
'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'
'a'.startsWith('a') && 'ab'.endsWith('b') && 'abc'.contains('b') && 'abc'.matches('^a.c$')
strings.quote('a"b') == '"a\\"b"'
'%s is %d of %.2f, %x %b'.format([dyn('n'), 5, 1.5, 255, 5]) == 'n is 5 of 1.50, ff 101'
'%s %s'.format([dyn([dyn(1), 'a']), {'k': true}]) == '[1, a] {k: true}'
'abc 123'.find('[0-9]+') == '123' && 'x'.find('y') == '' && '1 2 3'.findAll('[0-9]') == ['1', '2', '3'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']
[1, 2, 3].isSorted() && !o.list.isSorted() && o.list.sum() == 6 && o.list.min() == 1 && o.list.max() == 3
o.words.indexOf('a') == 0 && o.words.lastIndexOf('a') == 2
o.list.slice(1, 3) == [1, 2] && [[1], [2, 3]].flatten() == [1, 2, 3] && o.list.sort() == [1, 2, 3]
o.items.sortBy(i, -i.v).map(i, i.k) == ['b', 'a'] && o.words.distinct() == ['a', 'b'] && o.list.reverse() == [2, 1, 3]
o.list.first().value() == 3 && o.list.last().orValue(0) == 2 && lists.range(3) == [0, 1, 2]
sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1], [1, 2])
o.?missing.orValue('d') == 'd' && o.?name.hasValue() && !o.?missing.?deep.hasValue() && o.map[?'x'].value() == 1
optional.of(1).or(optional.of(2)).value() == 1 && optional.none().orValue(3) == 3 && !optional.ofNonZeroValue('').hasValue()
optional.of(2).optMap(x, x * 2).value() == 4 && o.?name.optFlatMap(x, optional.none()).orValue(1) == 1
[?o.?missing, 1] == [1] && {?'a': o.?missing, 'b': 1} == {'b': 1}
duration('1h30m').getMinutes() == 90 && duration('90s') > duration('1m') && string(duration('1m')) == '60s'
timestamp('2026-02-03T04:05:06Z').getFullYear() == 2026 && timestamp('2026-02-03T04:05:06Z').getMonth() == 1
timestamp('2026-01-01T00:00:00Z') + duration('24h') == timestamp('2026-01-02T00:00:00Z')
timestamp('2026-01-01T23:30:00Z').getDate('+01:00') == 2 && timestamp('2026-01-01T00:00:00Z').getDayOfWeek() == 4
quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('50k').add(20).asInteger() == 50020 && isQuantity('1.3Gi') && !isQuantity('x')
quantity('1.5').asApproximateFloat() == 1.5 && quantity('-1').sign() == -1 && quantity('1k') == quantity('1000') && quantity('2').compareTo(quantity('3')) == -1
url('https://h:8080/a?b=c').getPort() == '8080' && url('https://h/a').getHostname() == 'h' && url('https://h/a?b=c').getQuery() == {'b': ['c']} && isURL('/x') && !isURL('x')
ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && isIP('1.2.3.4') && !isIP('1.2.3') && ip.isCanonical('::1') && ip('8.8.8.8').isGlobalUnicast()
cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) && cidr('10.0.0.0/8').prefixLength() == 8 && isCIDR('::/0')
semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('1.0.0') && !isSemver('v1.0.0') && semver('v1.0', true).minor() == 0
!format.dns1123Label().validate('web-1').hasValue() && format.dns1123Label().validate('A_b').value().size() == 1 && format.named('uuid').hasValue()
jsonpatch.escapeKey('a/b~c') == 'a~1b~0c'
"#;

#[test]
fn the_language_and_its_libraries() {
    let mut wrong = Vec::new();
    for line in TRUTHS.lines().filter(|line| !line.is_empty()) {
        let found = evaluate(line);
        if found != Ok(json!(true)) {
            wrong.push(format!("{line}\n{found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_goes_wrong_is_said() {
    for (text, part) in [
        ("o.missing", "no such key: missing"),
        ("o.list[9]", "index out of bounds: 9"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("o.name + 1", "no such overload"),
        ("optional.none().value()", "optional.none() dereference"),
        ("'a'.charAt(5)", "index out of range: 5"),
        ("'%d'.format(['a'])", "error during formatting"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("[].min()", "min called on empty list"),
        (
            "x",
            "compile: ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^",
        ),
        (
            "o.nope()",
            "compile: ERROR: <input>:1:7: undeclared reference to 'nope'",
        ),
        (
            "1 + 'a'",
            "compile: ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'",
        ),
        (
            "'a'.charAt('b')",
            "found no matching overload for 'charAt' applied to 'string.(string)'",
        ),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        ("1.all(x, true)", "cannot be range of a comprehension"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn nothing_hangs_or_fills_the_memory() {
    let wide = "[1,2,3,4,5,6,7,8,9,10]";
    let nested = (0..9).fold("true".to_owned(), |inner, n| {
        format!("{wide}.all(x{n}, {inner})")
    });
    let doubled = (0..60).fold("'0123456789'".to_owned(), |inner, _| {
        format!("[{inner}].map(x, x + x)[0]")
    });
    let grown = format!("'aaaaaaaaaa'{}", ".replace('a', 'aaaaaaaaaa')".repeat(60));
    let shared = (0..60).fold("[1]".to_owned(), |inner, _| {
        format!("[{inner}].map(x, [x, x])[0]")
    });
    let equal = format!("{shared} == {shared}");
    for text in [
        nested.as_str(),
        &doubled,
        &grown,
        &shared,
        &equal,
        "lists.range(999999999999)",
        "lists.range(9999).all(x, lists.range(9999).all(y, x != y || true))",
        "'a'.matches('(a{500}){500}')",
        "'%.9999999f'.format([1.0])",
    ] {
        assert!(evaluate(text).is_err(), "{}", &text[..60.min(text.len())]);
    }
}

#[test]
fn a_deep_expression_fits_the_stack() {
    let run = || {
        let deep = (0..44).fold("true".to_owned(), |inner, _| format!("[{inner}].all(x, x)"));
        assert_eq!(evaluate(&deep), Ok(json!(true)));
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(run).unwrap().join().unwrap();
}
