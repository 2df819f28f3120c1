# Words for the sessions of tests/compat: bash reads this before each command.
# SERVER is the URL of a replica, PKI the folder of the CA, NS the session's namespace.

# Runs a command that ends by itself in the background, with its output in a file.
follow() {
  local file=$1
  shift
  : > "$file"
  "$@" >> "$file" 2>&1 &
  echo $! > "$file.pid"
}

# Waits until a file holds a text.
seen() {
  for _ in $(seq 300); do
    grep -qF -- "$2" "$1" 2> /dev/null && return 0
    sleep 0.1
  done
  echo "$1 never showed: $2"
  cat "$1"
  return 1
}

# Ends what `follow` began, and waits until it is gone.
unfollow() {
  local pid
  pid=$(cat "$1.pid")
  # shellcheck disable=SC2046
  kill "$pid" $(pgrep -P "$pid") 2> /dev/null
  for _ in $(seq 100); do
    kill -0 "$pid" 2> /dev/null || return 0
    sleep 0.1
  done
}

# A part of the kubeconfig, decoded.
part() {
  sed -n "s/^ *$1-data: //p" "$KUBECONFIG" | base64 -d
}

# curl as the administrator: `api PATH ...`.
api() {
  local path=$1
  shift
  [ -f "$HOME/admin.key" ] || {
    part certificate-authority > "$HOME/ca.crt"
    part client-certificate > "$HOME/admin.crt"
    part client-key > "$HOME/admin.key"
  }
  curl -sS --max-time 20 --cacert "$HOME/ca.crt" --cert "$HOME/admin.crt" --key "$HOME/admin.key" "$@" "$SERVER$path"
}

# The code of the answer, then its body: `ask METHOD PATH ...`.
ask() {
  local method=$1 path=$2
  shift 2
  [ "$method" = HEAD ] && set -- -I "$@" || set -- -X "$method" "$@"
  api "$path" -o body.$$ -w '%{http_code}\n' "$@"
  [ ! -f body.$$ ] || cat body.$$
  echo
  rm -f body.$$
}

# `send METHOD PATH MEDIA BODY ...`.
send() {
  local method=$1 path=$2 media=$3 body=$4
  shift 4
  ask "$method" "$path" -H "Content-Type: $media" --data-binary "$body" "$@"
}

# One header of the answer to a GET: `header NAME PATH ...`.
header() {
  local name=$1 path=$2
  shift 2
  api "$path" -o /dev/null -D - "$@" | tr -d '\r' | grep -i "^$name:" | sed 's/^[^:]*: *//'
}

# One field of an answer's first metadata: `field NAME < body`.
field() {
  grep -o "\"$1\":\"[^\"]*\"" | head -1 | cut -d'"' -f4
}
