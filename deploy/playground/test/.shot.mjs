import { open, serve, folder, stop, put, RULE, CASES } from "/work/wt-play/deploy/playground/test/support.mjs";
const rules = await folder({ "acme.toml": RULE + 'email_verified = { path = "$.user.verified", type = "string" }\n', "acme.test.toml": CASES });
for (const [w,h] of [[1440,900],[320,640]]) for (const scheme of ["light","dark"]) {
  const s = await serve(rules.path, "--write", "--live");
  const { page, complaints } = await open(s.link, { viewport: { width: w, height: h }, colorScheme: scheme });
  if (scheme === "dark") { await put(page, RULE.replace('"$.user.id"','"$.uesr.id"')); await page.waitForTimeout(400);} 
  await page.screenshot({ path: `/tmp/play/${w}-${scheme}.png`, fullPage: w < 900 });
  console.log(complaints);
  await s.stop();
}
await stop();
