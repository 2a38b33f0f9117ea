# Sidekiq: the client, a server in a process of its own, schedule and retry sets, its statistics.
require "json"
require "sidekiq"
require "sidekiq/api"
$stdout.sync = true

URL, MARK = ENV["REDIS_URL"], ENV["MARK"]
Sidekiq.configure_client { |c| c.redis = { url: URL, size: 3 } }
Sidekiq.configure_server do |c|
  c.redis = { url: URL, size: 10 }
  c.average_scheduled_poll_interval = 1
end

class Square
  include Sidekiq::Worker
  def perform(n, mark) = Sidekiq.redis { |r| r.multi { |m| m.incrby("sum", n); m.incr("done"); m.sadd("marks", mark) } }
end

class Broken
  include Sidekiq::Worker
  sidekiq_options retry: 1
  sidekiq_retry_in { 1 }
  def perform(mark) = raise(ArgumentError, mark)
end

if $PROGRAM_NAME == __FILE__
  def say(step, what) = puts("#{step}: #{what}")
  def count(name) = Sidekiq.redis { |r| r.get(name) }.to_i

  def wait
    200.times { yield ? (return true) : sleep(0.1) }
    raise "it has not come"
  end

  steps = {
    connect: lambda {
      say("connect", "queue #{Sidekiq::Queue.new.size} #{Sidekiq.redis(&:ping)}")
      say("connect", "ready")
    },
    work: lambda {
      ids = 10.times.map { |n| Square.perform_async(n, MARK) }
      Sidekiq::Client.push_bulk("class" => Square, "args" => (10...20).map { |n| [n, MARK] })
      say("work", "queued #{Sidekiq::Queue.new.size} #{ids.uniq.size}")
      $server = spawn("sidekiq", "-r", File.expand_path(__FILE__), "-c", "3", "-t", "2", out: :err)
      wait { count("done") == 20 }
      say("work", "done #{count("done")}")
      say("work", "sum #{count("sum")}")
    },
    later: lambda {
      Square.perform_in(2, 100, MARK)
      say("later", "scheduled #{Sidekiq::ScheduledSet.new.size}")
      wait { count("sum") == 290 }
      say("later", "done #{Sidekiq::ScheduledSet.new.size}")
    },
    failures: lambda {
      Broken.perform_async(MARK)
      wait { Sidekiq::DeadSet.new.size == 1 }
      dead = Sidekiq::DeadSet.new.first
      say("failures", "dead #{dead.klass} #{dead["error_class"]} #{dead["error_message"]} #{dead["retry_count"]}")
      dead.delete
      say("failures", "left #{Sidekiq::DeadSet.new.size} #{Sidekiq::RetrySet.new.size}")
    },
    results: lambda {
      say("results", "marks #{Sidekiq.redis { |r| r.smembers("marks") }}")
      Square.set(queue: "other").perform_async(1, MARK)
      found = Sidekiq::Queue.new("other")
      say("results", "other #{found.map { |job| [job.klass, job.args] }} #{found.clear.class}")
    },
    introspection: lambda {
      wait { Sidekiq::Stats.new.processed == 23 } # it counts by its heartbeat
      stats = Sidekiq::Stats.new
      say("introspection", "stats #{stats.processed} #{stats.failed} #{stats.enqueued} #{stats.scheduled_size} #{Sidekiq::Queue.all.map(&:name)}")
      processes = Sidekiq::ProcessSet.new
      wait { processes.size == 1 }
      say("introspection", "processes #{processes.size} #{processes.first["concurrency"]} #{Sidekiq::Workers.new.size}")
      Process.kill("TERM", $server)
      Process.wait($server)
      say("introspection", "ended #{$?.exitstatus} #{Sidekiq::ProcessSet.new.size}")
      Sidekiq.redis { |r| r.del("sum", "done", "marks") }
    },
  }
  say("version", Sidekiq::VERSION)
  begin
    steps.each do |name, step|
      step.call
    rescue StandardError => e
      warn(e.full_message(highlight: false))
      puts "#{name}! #{e.class}: #{e.message.gsub(/\s+/, " ")}"
    end
  ensure
    begin
      Process.kill("KILL", $server) if $server && Process.wait($server, Process::WNOHANG).nil?
    rescue SystemCallError
      nil
    end
  end
end
