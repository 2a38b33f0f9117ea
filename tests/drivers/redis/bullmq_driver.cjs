// BullMQ: jobs that its scripts move, workers that block, delays, retries, flows, events by a stream, repeatable jobs.
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");
const { where, mark, range, wait, version, run } = require("./common.cjs");

const connection = { ...where, maxRetriesPerRequest: null };
let queue, worker, events;
const handled = async (job) => {
  if (job.name === "broken" && job.attemptsMade < 2) throw new Error(mark);
  if (job.name === "parent") return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
  await job.updateProgress(50);
  return job.data.n;
};

run(version("bullmq"), {
  async connect(say) {
    queue = new Queue("work", { connection });
    await queue.waitUntilReady();
    events = new QueueEvents("work", { connection });
    await events.waitUntilReady();
    say(`counts ${JSON.stringify(await queue.getJobCounts())}`);
    say("ready");
  },
  async work(say) {
    const jobs = await queue.addBulk(range(20, (n) => ({ name: "square", data: { n, mark } })));
    say(`waiting ${await queue.getWaitingCount()}`);
    worker = new Worker("work", handled, { connection, concurrency: 4, drainDelay: 1 });
    worker.on("error", (error) => console.error(error));
    const values = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20000)));
    say(`done ${values.length}`);
    say(`sum ${values.reduce((a, b) => a + b, 0)}`);
    await queue.pause();
    const job = await queue.add("square", { n: 3, mark }, { priority: 5 });
    say(`paused ${await queue.isPaused()} ${await job.getState()} ${(await queue.getJobs(["prioritized", "waiting", "paused"])).length}`);
    await queue.resume();
    say(`resumed ${await job.waitUntilFinished(events, 20000)}`);
  },
  async later(say) {
    const job = await queue.add("square", { n: 7, mark }, { delay: 700 });
    say(`state ${await job.getState()} ${await queue.getDelayedCount()}`);
    say(`done ${await job.waitUntilFinished(events, 20000)}`);
    await queue.upsertJobScheduler("every", { every: 300, limit: 2 }, { name: "square", data: { n: 1, mark } });
    say(`scheduled ${(await queue.getJobSchedulers()).length}`);
    await wait(1200);
    say(`removed ${await queue.removeJobScheduler("every")}`);
  },
  async failures(say) {
    const job = await queue.add("broken", { n: 5, mark }, { attempts: 3, backoff: { type: "fixed", delay: 200 } });
    say(`retried ${await job.waitUntilFinished(events, 20000)}`);
    const lost = await queue.add("broken", { n: 5, mark }, { attempts: 1 });
    say(`failed ${await lost.waitUntilFinished(events, 20000).catch((error) => error.message)} ${await lost.getState()}`);
    say(`counted ${await queue.getFailedCount()} ${(await queue.getFailed()).map((j) => j.failedReason)}`);
    await lost.remove();
  },
  async results(say) {
    const flows = new FlowProducer({ connection });
    const flow = await flows.add({ name: "parent", queueName: "work", data: { mark }, children: range(3, (n) => ({ name: "square", queueName: "work", data: { n: n + 1, mark } })) });
    say(`flow ${await flow.job.waitUntilFinished(events, 20000)}`);
    const job = await queue.getJob(flow.job.id);
    say(`fetched ${job.name} ${job.data.mark} ${job.returnvalue} ${Object.keys((await job.getDependencies()).processed).length}`);
    const same = await queue.add("square", { n: 9, mark }, { jobId: "named" });
    say(`named ${await same.waitUntilFinished(events, 20000)} ${(await queue.add("square", { n: 10, mark }, { jobId: "named" })).id}`);
    const { logs } = await (await job.log("a line"), queue.getJobLogs(job.id));
    say(`logs ${logs}`);
    await flows.close();
  },
  async introspection(say) {
    const counts = await queue.getJobCounts("waiting", "active", "failed", "delayed");
    say(`counts ${JSON.stringify(counts)} workers ${(await queue.getWorkers()).length}`);
    await worker.close();
    await queue.clean(0, 1000, "completed");
    await queue.drain(true);
    say(`clean ${await queue.getCompletedCount()}`);
    await events.close();
    await queue.obliterate({ force: true });
    await queue.close();
    say("gone");
  },
});
