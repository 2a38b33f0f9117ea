<?php
// phpredis: the extension of PHP; pipelines, MULTI, scan with an iterator, and sessions kept in Redis.
error_reporting(E_ALL & ~E_DEPRECATED);
$mark = getenv("MARK");
function say($step, $what) { echo "$step: $what\n"; }

function open() {
    $r = new Redis();
    $r->connect(getenv("REDIS_HOST"), (int) getenv("REDIS_PORT"), 20);
    $r->auth([getenv("REDIS_USER"), getenv("REDIS_PASSWORD")]);
    return $r;
}
$r = open();
// Its errors are kept, not thrown, unless the connection is lost.
function failed($r, $call) { $r->clearLastError(); $call(); return (string) $r->getLastError(); }

$steps = [
    "connect" => function () use ($r) {
        say("connect", "ping " . ($r->ping() ? "PONG" : "?"));
        say("connect", "keys " . $r->dbSize());
    },
    "types" => function () use ($r, $mark) {
        $r->set("text", "Zoë 'q' \"d\" \\ % \$1 ? $mark");
        say("types", "string " . substr($r->get("text"), 0, -1 - strlen($mark)));
        $r->set("raw", "\x00\xff\r\n");
        say("types", "bytes " . bin2hex($r->get("raw")));
        $r->set("n", 41);
        say("types", "number " . $r->incr("n"));
        $r->hMSet("h", ["a" => 1, "b" => 2]);
        $hash = $r->hGetAll("h");
        ksort($hash);
        say("types", "hash " . implode(" ", array_map(fn($k, $v) => "$k=$v", array_keys($hash), $hash)));
        $r->rPush("l", "x", "y", "z");
        say("types", "list " . implode(",", $r->lRange("l", 0, -1)));
        $r->sAdd("s", "a", "b", "c");
        $set = $r->sMembers("s");
        sort($set);
        say("types", "set " . implode(",", $set));
        $r->zAdd("z", 1, "a", 2.5, "b");
        $sorted = $r->zRange("z", 0, -1, true);
        say("types", "sorted " . implode(" ", array_map(fn($k, $v) => "$k=$v", array_keys($sorted), $sorted)));
        say("types", "none " . ($r->get("none") === false ? "NULL" : "?"));
        $r->setEx("soon", 100, $mark);
        say("types", "expires " . var_export($r->ttl("soon") > 90, true));
    },
    "pipeline" => function () use ($r) {
        $pipe = $r->multi(Redis::PIPELINE);
        for ($n = 0; $n < 100; $n++) $pipe->set("p:$n", $n);
        say("pipeline", "sent " . count($pipe->exec()));
        $names = array_map(fn($n) => "p:$n", range(0, 99));
        say("pipeline", "sum " . array_sum($r->mGet($names)));
        $r->del($names);
    },
    "transactions" => function () use ($r) {
        say("transactions", "executed " . count($r->multi()->set("t", 1)->incr("t")->exec()));
        $r->watch("t");
        open()->incr("t");
        say("transactions", "watched " . ($r->multi()->set("t", 0)->exec() === false ? "aborted" : "?"));
        $r->multi()->set("never", 1);
        $r->discard();
        say("transactions", "discarded " . ($r->get("never") === false ? "NULL" : "?"));
    },
    "scripts" => function () use ($r, $mark) {
        $r->set("k", $mark);
        say("scripts", "evaluated " . $r->eval("return redis.call('GET', KEYS[1])", ["k"], 1));
        $sha = $r->script("load", "return redis.call('INCRBY', KEYS[1], ARGV[1])");
        $r->evalSha($sha, ["counter", 1], 1);
        say("scripts", "by hash " . $r->evalSha($sha, ["counter", 2], 1));
        say("scripts", "unknown " . strtok(failed($r, fn() => $r->evalSha(str_repeat("0", 40))), " "));
    },
    "messages" => function () use ($mark) {
        // Its subscriptions keep the program; another one speaks.
        $speaker = proc_open([PHP_BINARY, __FILE__, "speak"], [], $pipes);
        $mine = open();
        $mine->setOption(Redis::OPT_READ_TIMEOUT, 10);
        try {
            $mine->subscribe(["news"], function ($r, $channel, $message) { say("messages", "$channel $message"); $r->close(); });
        } catch (RedisException $closed) { }
        proc_close($speaker);
        $speaker = proc_open([PHP_BINARY, __FILE__, "speak", "news.a"], [], $pipes);
        $mine = open();
        $mine->setOption(Redis::OPT_READ_TIMEOUT, 10);
        try {
            $mine->psubscribe(["news.*"], function ($r, $pattern, $channel, $message) { say("messages", "pattern $pattern $channel"); $r->close(); });
        } catch (RedisException $closed) { }
        proc_close($speaker);
    },
    "streams" => function () use ($r) {
        for ($n = 0; $n < 3; $n++) $r->xAdd("stream", "*", ["n" => $n]);
        say("streams", "read " . count($r->xRead(["stream" => "0"])["stream"]));
        $r->xGroup("CREATE", "stream", "g", "0");
        $found = $r->xReadGroup("g", "me", ["stream" => ">"])["stream"];
        say("streams", "group " . count($found));
        $r->xAck("stream", "g", array_keys($found));
        say("streams", "pending " . $r->xPending("stream", "g")[0]);
        $r->del("stream");
    },
    "blocking" => function () use ($r) {
        $late = proc_open([PHP_BINARY, __FILE__, "push"], [], $pipes);
        say("blocking", "popped " . $r->blPop("queue", 10)[1]);
        proc_close($late);
        say("blocking", "timeout " . ($r->blPop("queue", 1) ? "?" : "NULL"));
    },
    "iteration" => function () use ($r) {
        for ($many = [], $n = 0; $n < 200; $n++) $many["i:$n"] = $n;
        $r->mSet($many);
        $r->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
        $seen = [];
        $at = null;
        while ($page = $r->scan($at, "i:*", 30)) foreach ($page as $key) $seen[$key] = 1;
        say("iteration", "scanned " . count($seen));
        say("iteration", "matched " . (count($r->keys("i:10?")) + count($r->keys("i:199"))));
        for ($many = [], $n = 0; $n < 50; $n++) $many["f$n"] = $n;
        $r->hMSet("fields", $many);
        $fields = [];
        $at = null;
        while ($page = $r->hScan("fields", $at, "*", 7)) $fields += $page;
        say("iteration", "fields " . count($fields));
        $r->del(array_keys($seen));
        $left = $r->keys("*");
        sort($left);
        say("iteration", "left " . implode(",", $left) . " " . $r->exists($r->randomKey()));
    },
    "errors" => function () use ($r) {
        $type = failed($r, fn() => $r->lPush("k", "x"));
        say("errors", "type " . strtok($type, " "));
        $unknown = failed($r, fn() => $r->rawCommand("NOSUCH", "a"));
        say("errors", "command " . strtok($unknown, " "));
        say("errors", "said $type / $unknown / " . failed($r, fn() => $r->rawCommand("JSON.SET", "doc", "$", "{}")));
        say("errors", "after " . ($r->ping() ? "PONG" : "?"));
    },
];
if (($argv[1] ?? "") == "speak") {
    for ($n = 0; $n < 100 && !$r->publish($argv[2] ?? "news", isset($argv[2]) ? $mark : "hello"); $n++) usleep(50000);
    exit;
}
if (($argv[1] ?? "") == "push") {
    usleep(200000);
    $r->rPush("queue", "late");
    exit;
}
say("version", phpversion("redis"));
foreach ($steps as $name => $step) {
    try {
        $step();
    } catch (Throwable $e) {
        fwrite(STDERR, "$e\n");
        echo "$name! " . get_class($e) . ": " . preg_replace("/\s+/", " ", $e->getMessage()) . "\n";
    }
}
