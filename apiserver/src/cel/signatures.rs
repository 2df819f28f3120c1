//! What functions take and give: one line each, a method's receiver before the dot.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::kinds::rights;
use super::types::Type;

const TABLE: &str = "
size(string) int
size(bytes) int
size(list(A)) int
size(map(A,B)) int
string.size() int
bytes.size() int
list(A).size() int
map(A,B).size() int
type(A) type
dyn(A) dyn
int(int) int
int(uint) int
int(double) int
int(string) int
int(timestamp) int
int(duration) int
uint(uint) uint
uint(int) uint
uint(double) uint
uint(string) uint
double(double) double
double(int) double
double(uint) double
double(string) double
string(string) string
string(bool) string
string(int) string
string(uint) string
string(double) string
string(bytes) string
string(timestamp) string
string(duration) string
string(ip) string
string(cidr) string
bytes(bytes) bytes
bytes(string) bytes
bool(bool) bool
bool(string) bool
timestamp(timestamp) timestamp
timestamp(string) timestamp
timestamp(int) timestamp
duration(duration) duration
duration(string) duration
duration(int) duration
matches(string,string) bool
string.matches(string) bool
string.contains(string) bool
string.startsWith(string) bool
string.endsWith(string) bool
string.charAt(int) string
string.indexOf(string) int
string.indexOf(string,int) int
string.lastIndexOf(string) int
string.lastIndexOf(string,int) int
string.lowerAscii() string
string.upperAscii() string
string.replace(string,string) string
string.replace(string,string,int) string
string.split(string) list(string)
string.split(string,int) list(string)
string.substring(int) string
string.substring(int,int) string
string.trim() string
string.format(list(dyn)) string
list(string).join() string
list(string).join(string) string
strings.quote(string) string
string.find(string) string
string.findAll(string) list(string)
string.findAll(string,int) list(string)
list(A).isSorted() bool
list(A).sum() A
list(A).min() A
list(A).max() A
list(A).indexOf(A) int
list(A).lastIndexOf(A) int
list(A).slice(int,int) list(A)
list(list(A)).flatten() list(A)
list(dyn).flatten(int) list(dyn)
list(A).sort() list(A)
list(A).distinct() list(A)
list(A).reverse() list(A)
list(A).first() optional(A)
list(A).last() optional(A)
list(optional(A)).unwrapOpt() list(A)
lists.range(int) list(int)
sets.contains(list(A),list(A)) bool
sets.equivalent(list(A),list(A)) bool
sets.intersects(list(A),list(A)) bool
optional.none() optional(A)
optional.of(A) optional(A)
optional.ofNonZeroValue(A) optional(A)
optional.unwrap(list(optional(A))) list(A)
optional(A).hasValue() bool
optional(A).value() A
optional(A).or(optional(A)) optional(A)
optional(A).orValue(A) A
timestamp.getFullYear() int
timestamp.getMonth() int
timestamp.getDate() int
timestamp.getDayOfMonth() int
timestamp.getDayOfWeek() int
timestamp.getDayOfYear() int
timestamp.getHours() int
timestamp.getMinutes() int
timestamp.getSeconds() int
timestamp.getMilliseconds() int
timestamp.getFullYear(string) int
timestamp.getMonth(string) int
timestamp.getDate(string) int
timestamp.getDayOfMonth(string) int
timestamp.getDayOfWeek(string) int
timestamp.getDayOfYear(string) int
timestamp.getHours(string) int
timestamp.getMinutes(string) int
timestamp.getSeconds(string) int
timestamp.getMilliseconds(string) int
duration.getHours() int
duration.getMinutes() int
duration.getSeconds() int
duration.getMilliseconds() int
quantity(string) quantity
isQuantity(string) bool
quantity.sign() int
quantity.isGreaterThan(quantity) bool
quantity.isLessThan(quantity) bool
quantity.compareTo(quantity) int
quantity.asApproximateFloat() double
quantity.asInteger() int
quantity.isInteger() bool
quantity.add(quantity) quantity
quantity.add(int) quantity
quantity.sub(quantity) quantity
quantity.sub(int) quantity
url(string) url
isURL(string) bool
url.getScheme() string
url.getHost() string
url.getHostname() string
url.getPort() string
url.getEscapedPath() string
url.getQuery() map(string,list(string))
ip(string) ip
isIP(string) bool
ip.isCanonical(string) bool
ip.family() int
ip.isUnspecified() bool
ip.isLoopback() bool
ip.isLinkLocalMulticast() bool
ip.isLinkLocalUnicast() bool
ip.isGlobalUnicast() bool
cidr(string) cidr
isCIDR(string) bool
cidr.ip() ip
cidr.masked() cidr
cidr.prefixLength() int
cidr.containsIP(string) bool
cidr.containsIP(ip) bool
cidr.containsCIDR(string) bool
cidr.containsCIDR(cidr) bool
semver(string) semver
semver(string,bool) semver
isSemver(string) bool
isSemver(string,bool) bool
semver.major() int
semver.minor() int
semver.patch() int
semver.isGreaterThan(semver) bool
semver.isLessThan(semver) bool
semver.compareTo(semver) int
format.named(string) optional(format)
format.dns1123Label() format
format.dns1123Subdomain() format
format.dns1035Label() format
format.qualifiedName() format
format.dns1123LabelPrefix() format
format.dns1123SubdomainPrefix() format
format.dns1035LabelPrefix() format
format.labelValue() format
format.uri() format
format.uuid() format
format.byte() format
format.date() format
format.datetime() format
format.validate(string) optional(list(string))
jsonpatch.escapeKey(string) string
authorizer.path(string) pathcheck
authorizer.group(string) groupcheck
authorizer.serviceAccount(string,string) authorizer
groupcheck.resource(string) resourcecheck
resourcecheck.subresource(string) resourcecheck
resourcecheck.namespace(string) resourcecheck
resourcecheck.name(string) resourcecheck
resourcecheck.fieldSelector(string) resourcecheck
resourcecheck.labelSelector(string) resourcecheck
pathcheck.check(string) decision
resourcecheck.check(string) decision
decision.allowed() bool
decision.reason() string
decision.errored() bool
decision.error() string
";

/// Functions whose names have a dot, so that what stands before it is no receiver.
const QUALIFIED: [&str; 24] = [
    "strings.quote",
    "lists.range",
    "sets.contains",
    "sets.equivalent",
    "sets.intersects",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "optional.unwrap",
    "ip.isCanonical",
    "jsonpatch.escapeKey",
    "format.named",
    "format.dns1123Label",
    "format.dns1123Subdomain",
    "format.dns1035Label",
    "format.qualifiedName",
    "format.dns1123LabelPrefix",
    "format.dns1123SubdomainPrefix",
    "format.dns1035LabelPrefix",
    "format.labelValue",
    "format.uri",
    "format.uuid",
    "format.byte",
    "format.datetime",
];

/// One way to call a function.
pub(crate) struct Signature {
    /// The receiver first, if it is a method.
    pub(crate) takes: Vec<Type<'static>>,
    pub(crate) method: bool,
    pub(crate) gives: Type<'static>,
}

/// The ways to call a function.
pub(crate) fn of(name: &str) -> Option<&'static [Signature]> {
    static READ: OnceLock<BTreeMap<String, Vec<Signature>>> = OnceLock::new();
    let all = READ.get_or_init(|| {
        let mut all: BTreeMap<String, Vec<Signature>> = BTreeMap::new();
        for line in TABLE.lines().filter(|line| !line.is_empty()) {
            let (name, signature) = read(line);
            all.entry(name).or_default().push(signature);
        }
        all
    });
    all.get(name).map(Vec::as_slice)
}

/// True for `ip.isCanonical` and the like.
pub(crate) fn is_qualified(name: &str) -> bool {
    QUALIFIED.contains(&name) || name == "format.date"
}

fn read(line: &str) -> (String, Signature) {
    let (call, gives) = line
        .rsplit_once(") ")
        .expect("a line ends in what is given");
    let start = opening(call);
    let (head, args) = (&call[..start], &call[start + 1..]);
    let (receiver, name) = match head.rsplit_once('.') {
        Some(_) if is_qualified(head) => (None, head),
        Some((receiver, name)) => (Some(receiver), name),
        None => (None, head),
    };
    let args = split(args);
    let takes = receiver.into_iter().chain(args).map(named).collect();
    let signature = Signature {
        takes,
        method: receiver.is_some(),
        gives: named(gives),
    };
    (name.to_owned(), signature)
}

/// Where the bracket of the arguments opens, which is the last one that is not closed.
fn opening(call: &str) -> usize {
    let mut depth = 0;
    for (at, c) in call.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth == 0 => return at,
            '(' => depth -= 1,
            _ => {}
        }
    }
    0
}

/// Splits at commas outside brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

fn named(name: &str) -> Type<'static> {
    if let Some((outer, inner)) = name.split_once('(') {
        let parts = split(inner.strip_suffix(')').unwrap_or(inner));
        return match outer {
            "list" => Type::list(named(parts[0])),
            "optional" => Type::optional(named(parts[0])),
            _ => Type::map(named(parts[0]), named(parts[1])),
        };
    }
    match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Meta,
        "quantity" => Type::Named("kubernetes.Quantity"),
        "url" => Type::Named("kubernetes.URL"),
        "ip" => Type::Named("net.IP"),
        "cidr" => Type::Named("net.CIDR"),
        "semver" => Type::Named("kubernetes.Semver"),
        "format" => Type::Named("kubernetes.NamedFormat"),
        "authorizer" => Type::Named(rights::AUTHORIZER),
        "pathcheck" => Type::Named(rights::PATH_CHECK),
        "groupcheck" => Type::Named(rights::GROUP_CHECK),
        "resourcecheck" => Type::Named(rights::RESOURCE_CHECK),
        "decision" => Type::Named(rights::DECISION),
        "A" => Type::Parameter('A'),
        "B" => Type::Parameter('B'),
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let all = of("sort").unwrap();
        assert_eq!((all.len(), all[0].method), (1, true));
        assert_eq!(all[0].takes, [Type::list(Type::Parameter('A'))]);
        let flatten = of("flatten").unwrap();
        assert_eq!(flatten[0].takes[0].to_string(), "list(list(A))");
        assert_eq!(
            of("getQuery").unwrap()[0].gives.to_string(),
            "map(string, list(string))"
        );
        assert!(!of("ip.isCanonical").unwrap()[0].method);
        assert!(of("date").is_none() && of("format.date").is_some());
        for name in QUALIFIED {
            assert!(of(name).is_some(), "{name}");
        }
    }
}
