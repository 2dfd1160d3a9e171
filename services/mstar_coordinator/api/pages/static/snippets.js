// The request of the page as a program: what a shell or Python would read otherwise is quoted.
"use strict";

// A single word of a POSIX shell.
function shellWord(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// Text inside a here-document whose expansions are on.
function hereText(text) {
  return text.replace(/[\\$`]/g, "\\$&");
}

function asCurl(url, request, names) {
  const images = names.map((name) => `{"data": "$(base64 < ${shellWord(name)} | tr -d '\\n')"}`).join(", ");
  const { images: _, ...rest } = request;
  const fields = hereText(JSON.stringify(rest)).slice(1);
  return [
    `curl -sS ${shellWord(url)} -H "Authorization: Bearer $MSTAR_SCORE_KEY" \\`,
    `  -H "Content-Type: application/json" --data-binary @- <<END`,
    `{"images": [${images}], ${fields}`,
    "END",
  ].join("\n");
}

// A string of JSON is one of Python as well, and the request has neither null nor true in it.
function asPython(url, request, names) {
  const { images: _, ...rest } = request;
  return [
    "import base64, json, os, urllib.request",
    "",
    `request = ${JSON.stringify(rest, null, 4)}`,
    `files = ${JSON.stringify(names)}`,
    'request["images"] = [{"data": base64.b64encode(open(name, "rb").read()).decode()} for name in files]',
    'headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ.get("MSTAR_SCORE_KEY", "")}',
    `call = urllib.request.Request(${JSON.stringify(url)}, json.dumps(request).encode(), headers)`,
    'for one in json.load(urllib.request.urlopen(call))["results"]:',
    '    print(one["index"], one["score"], [step["score"] for step in one["steps"]])',
  ].join("\n");
}
