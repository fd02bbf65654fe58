// Rows about the demo page (rows_page.mjs) and about messages from Chromium (rows_messages.mjs).
import { launchChromium } from "../interop/chromium.mjs";
import { options, run } from "../interop/suite.mjs";
import { addMessages } from "./rows_messages.mjs";
import { addPage } from "./rows_page.mjs";

const chosen = options(process.argv.slice(2));
const world = {};
addPage(world);
addMessages(world);
if (chosen.list) {
    await run(chosen);
    process.exit();
}
const chromium = await launchChromium();
world.browser = chromium.browser;
await run(chosen, async () => {
    await chromium.close();
    return [];
});
