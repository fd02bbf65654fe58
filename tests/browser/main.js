// Rows about the demo page (rows_page.js) and about messages from Chromium (rows_messages.js).
import { launchChromium } from "../interop/chromium.js";
import { options, run } from "../interop/suite.js";
import { addMessages } from "./rows_messages.js";
import { addPage } from "./rows_page.js";

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
