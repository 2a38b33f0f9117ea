# Ends the demo's servers once the demo is gone, however it went: its end of the pipe on our stdin closes then.
trap '' INT TERM HUP
dir=$1
cat >/dev/null
alive() {
  case "$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)" in '' | Z) return 1 ;; esac
}
pids=
for file in wall.pid redis.pid pg/postmaster.pid; do
  [ -s "$dir/$file" ] || continue
  pid=$(head -n 1 "$dir/$file")
  kill -INT "$pid" 2>/dev/null && pids="$pids $pid"
done
for pid in $pids; do
  tries=0
  while alive "$pid" && [ "$tries" -lt 200 ]; do
    tries=$((tries + 1))
    [ "$tries" -eq 150 ] && kill -KILL "$pid"
    sleep 0.05
  done
done
rm -rf "$dir"
