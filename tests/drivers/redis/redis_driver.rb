# Ruby's redis gem: pipelines, MULTI with a block, subscribe loops in a thread.
require "redis"
$stdout.sync = true
MARK, TEXT = ENV["MARK"], "Zoë 'q' \"d\" \\ % $1 ?"
Redis.sadd_returns_boolean = false
def open = Redis.new(url: ENV["REDIS_URL"], timeout: 20)
def say(step, what) = puts("#{step}: #{what}")
R = open

def failing
  "went through: #{yield}"
rescue Redis::CommandError => e
  e.message
end

STEPS = {
  connect: lambda {
    say("connect", "ping #{R.ping}")
    say("connect", "keys #{R.dbsize}")
  },
  types: lambda {
    R.set("text", "#{TEXT} #{MARK}")
    say("types", "string #{R.get("text").delete_suffix(" #{MARK}")}")
    R.set("raw", "\x00\xff\r\n".b)
    say("types", "bytes #{R.get("raw").unpack1("H*")}")
    R.set("n", 41)
    say("types", "number #{R.incr("n")}")
    R.mapped_hmset("h", { "a" => 1, "b" => 2 })
    say("types", "hash #{R.hgetall("h").sort.map { |p| p.join("=") }.join(" ")}")
    R.rpush("l", %w[x y z])
    say("types", "list #{R.lrange("l", 0, -1).join(",")}")
    R.sadd("s", %w[a b c])
    say("types", "set #{R.smembers("s").sort.join(",")}")
    R.zadd("z", [[1, "a"], [2.5, "b"]])
    say("types", "sorted #{R.zrange("z", 0, -1, with_scores: true).map { |m, s| "#{m}=#{s.to_s.delete_suffix(".0")}" }.join(" ")}")
    say("types", "none #{R.get("none") || "NULL"}")
    R.setex("soon", 100, MARK)
    say("types", "expires #{R.ttl("soon") > 90}")
  },
  pipeline: lambda {
    say("pipeline", "sent #{R.pipelined { |p| 100.times { |n| p.set("p:#{n}", n) } }.size}")
    names = 100.times.map { |n| "p:#{n}" }
    say("pipeline", "sum #{R.mget(*names).sum(&:to_i)}")
    R.del(*names)
  },
  transactions: lambda {
    say("transactions", "executed #{R.multi { |m| m.set("t", 1); m.incr("t") }.size}")
    lost = R.watch("t") do
      open.incr("t")
      R.multi { |m| m.set("t", 0) }
    end
    say("transactions", "watched #{lost.nil? ? "aborted" : lost}")
    begin
      R.multi { |m| m.set("never", 1); raise IOError }
    rescue IOError
      say("transactions", "discarded #{R.get("never") || "NULL"}")
    end
  },
  scripts: lambda {
    R.set("k", MARK)
    say("scripts", "evaluated #{R.eval("return redis.call('GET', KEYS[1])", keys: ["k"])}")
    sha = R.script(:load, "return redis.call('INCRBY', KEYS[1], ARGV[1])")
    R.evalsha(sha, ["counter"], [1])
    say("scripts", "by hash #{R.evalsha(sha, ["counter"], [2])}")
    say("scripts", "unknown #{failing { R.evalsha("0" * 40) }.split.first}")
  },
  messages: lambda {
    came, ready = Queue.new, Queue.new
    listener = Thread.new do
      open.subscribe("news") { |on| on.subscribe { ready << 1 }; on.message { |c, m| came << "#{c} #{m}"; Thread.current.exit } }
    end
    patterns = Thread.new do
      open.psubscribe("news.*") { |on| on.psubscribe { ready << 1 }; on.pmessage { |p, c, _| came << "pattern #{p} #{c}"; Thread.current.exit } }
    end
    2.times { ready.pop }
    say("messages", "received #{R.publish("news", "hello")}")
    say("messages", came.pop)
    R.publish("news.a", MARK)
    say("messages", came.pop)
    [listener, patterns].each { |t| t.join(5) }
  },
  streams: lambda {
    3.times { |n| R.xadd("stream", { n: n }) }
    say("streams", "read #{R.xread("stream", "0")["stream"].size}")
    R.xgroup(:create, "stream", "g", "0")
    found = R.xreadgroup("g", "me", "stream", ">")["stream"]
    say("streams", "group #{found.size}")
    R.xack("stream", "g", *found.map(&:first))
    say("streams", "pending #{R.xpending("stream", "g")["size"]}")
    R.del("stream")
  },
  blocking: lambda {
    Thread.new { sleep(0.2); open.rpush("queue", "late") }
    say("blocking", "popped #{R.blpop("queue", timeout: 10)[1]}")
    say("blocking", "timeout #{R.blpop("queue", timeout: 1) || "NULL"}")
  },
  iteration: lambda {
    R.mapped_mset(200.times.to_h { |n| ["i:#{n}", n] })
    seen = R.scan_each(match: "i:*", count: 30).to_a.uniq
    say("iteration", "scanned #{seen.size}")
    say("iteration", "matched #{R.keys("i:10?").size + R.keys("i:199").size}")
    R.mapped_hmset("fields", 50.times.to_h { |n| ["f#{n}", n] })
    say("iteration", "fields #{R.hscan_each("fields", count: 7).to_a.size}")
    R.del(*seen)
    say("iteration", "left #{R.keys("*").sort.join(",")} #{R.exists(R.randomkey)}")
  },
  errors: lambda {
    type = failing { R.lpush("k", "x") }
    say("errors", "type #{type.split.first}")
    unknown = failing { R.call("NOSUCH", "a") }
    say("errors", "command #{unknown.split.first}")
    say("errors", "said #{type} / #{unknown} / #{failing { R.call("JSON.SET", "doc", "$", "{}") }}")
    say("errors", "after #{R.ping}")
  },
}
say("version", Redis::VERSION)
STEPS.each do |name, step|
  step.call
rescue StandardError => e
  warn(e.full_message(highlight: false))
  puts "#{name}! #{e.class}: #{e.message.gsub(/\s+/, " ")}"
end
