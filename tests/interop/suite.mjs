// Rows: one checked sentence each. The part of a row's name before the colon is its lane: the rows of a lane run one
// after another, the lanes side by side, and `all` alone at the end.
const rows = [];

// `options.tier`: "ci" (default: runs in both) or "all"; `options.lane` where the name does not say it.
export function row(name, work, options = {}) {
    rows.push({ name, work, tier: options.tier ?? "ci", lane: options.lane ?? name.split(":")[0] });
}

export function check(is, wanted, what = "") {
    const left = JSON.stringify(is), right = JSON.stringify(wanted);
    if (left !== right) {
        throw new Error(`${what} is ${left}, wanted ${right}`);
    }
}

export async function fails(promise, pattern) {
    const outcome = await promise.then((value) => ({ value }), (error) => ({ error: error.message }));
    if (outcome.error === undefined || !pattern.test(outcome.error)) {
        throw new Error(`expected a failure like ${pattern}, got ${JSON.stringify(outcome)}`);
    }
}

export function options(argv) {
    const part = argv.includes("-k") ? argv[argv.indexOf("-k") + 1] : "";
    return { tier: argv[0] === "all" ? "all" : "ci", part, list: argv.includes("--list"), times: argv.includes("--times") };
}

async function problemOf(one) {
    const start = performance.now();
    const problem = await one.work().then(() => "", (error) => `${error?.stack ?? JSON.stringify(error)}`.split("\n").slice(0, 6).join("\n    "));
    one.ms = performance.now() - start;
    return problem;
}

// `finish` ends what the rows shared and returns a list of troubles.
export async function run({ tier, part, list, times }, finish) {
    const chosen = rows.filter((one) => one.name.includes(part) && (tier === "all" || one.tier === "ci"));
    if (list) {
        chosen.forEach((one) => console.log(one.name));
        return;
    }
    const began = performance.now();
    let failed = 0;
    const walk = async (lane) => {
        for (const one of lane) {
            const problem = await problemOf(one);
            if (problem) {
                failed++;
                console.log(`FAILED ${one.name}\n    ${problem}`);
            }
        }
    };
    const lanes = [...new Set(chosen.map((one) => one.lane))].filter((lane) => lane !== "all");
    await Promise.all(lanes.map((lane) => walk(chosen.filter((one) => one.lane === lane))));
    await walk(chosen.filter((one) => one.lane === "all"));
    const troubles = await finish();
    troubles.forEach((text) => console.log(`FAILED ${text}`));
    if (times) {
        const slowest = [...chosen].sort((a, b) => b.ms - a.ms).slice(0, 12);
        slowest.forEach((one) => console.log(`${(one.ms / 1000).toFixed(2).padStart(7)} s  ${one.name}`));
    }
    console.log(`${((performance.now() - began) / 1000).toFixed(1)} s`);
    console.log(`${chosen.length - failed} passed, ${failed + troubles.length} failed`);
    process.exit(failed + troubles.length > 0 ? 1 : 0); // whatever is left hanging does not keep the process
}
