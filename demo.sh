#!/usr/bin/env bash
# The main job from end to end: look at a recording, train on it, watch the model drive.
#
#   make demo                  # records laps of the embedded simulator's lake first
#   make demo DATA=data/mine   # takes your own recording
#
# Everything lands in demo/ (another folder: OUT=…); an existing one is refused.
set -euo pipefail
cd "$(dirname "$0")"
python=.venv/bin/python
out=${OUT:-demo}
data=${DATA:-}
# A person's laps take longer to learn than the expert's.
epochs=${EPOCHS:-$([ -n "$data" ] && echo 20 || echo 8)}
port=${PORT:-4567}

if [ -e "$out" ]; then
    echo "$out exists already; remove it, or give another: make demo OUT=$out-2" >&2
    exit 1
fi
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

if [ -z "$data" ]; then
    data=$out/lake
    say "1/4 record: the expert drives a lap of the embedded lake each way"
    $python simulate.py record lake --laps 1 --direction both --seed 1 \
        --out "$data"
fi

say "2/4 explore: what is in the recording"
$python explore.py "$data" --out "$out/report"

say "3/4 train: $epochs epochs"
$python train.py "$data" --name model --models-dir "$out" --epochs "$epochs"

: >"$out/drive.log"
say "4/4 drive: one lap of the embedded lake at 25 mph, over the socket"
$python drive.py "$out/model/model.json" --speed 25 --port "$port" --json \
    >"$out/drive.json" 2>"$out/drive.log" &
server=$!
trap 'kill -INT $server 2>/dev/null || true' EXIT
# The simulator's side waits in the backlog of the port while the model loads.
until grep -q listening "$out/drive.log"; do
    kill -0 $server 2>/dev/null || { cat "$out/drive.log" >&2; exit 1; }
    sleep 0.2
done
$python simulate.py drive lake --laps 1 --url "http://127.0.0.1:$port" \
    --video "$out/drive.mp4"
kill -INT $server
wait $server
trap - EXIT

say "done"
cat <<TEXT
report:       $out/report/report.html
model:        $out/model/model.json, loss.png, predictions.png
the drive:    $out/drive.mp4
the server:   $(cat "$out/drive.json")
next:         start the Udacity simulator in Autonomous mode, and
              $python drive.py $out/model/model.json
TEXT
