#!/usr/bin/env python3
"""Opens a page of `theta report` in a headless browser: no error on its console, no canvas blank, nothing wider than the
screen, every table's numbers those of the data, at the widths of a telephone and of a desk.

    page.py PAGE.html [--browser chromium] [--shots FOLDER]
"""
import argparse, html.parser, json, pathlib, re, subprocess, sys, tempfile

WATCH = """<script>
window.faults = [];
addEventListener('error', e => faults.push('error: ' + e.message));
addEventListener('unhandledrejection', e => faults.push('rejection: ' + e.reason));
for (const name of ['error', 'warn']) { const was = console[name]; console[name] = (...a) => { faults.push(name + ': ' + a.join(' ')); was(...a); }; }
</script>"""
LOOK = """<script>
addEventListener('load', () => {
  const canvases = [...document.querySelectorAll('canvas')];
  const blank = canvases.filter(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n < 200; });
  const unnamed = canvases.filter(c => !c.getAttribute('aria-label')).length + [...document.images].filter(i => !i.alt).length;
  const broken = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const tables = [...document.querySelectorAll('figure')].filter(f => f.querySelector('canvas')).map(f => ({title: f.querySelector('b').textContent,
    head: [...f.querySelectorAll('thead th')].map(x => x.textContent), rows: [...f.querySelectorAll('tbody tr')].map(r => [...r.children].map(c => c.dataset.value !== undefined ? +c.dataset.value : c.textContent))}));
  const out = document.createElement('script');
  out.type = 'application/json', out.id = 'looked';
  out.textContent = JSON.stringify({faults, canvases: canvases.length, blank: blank.map(c => c.getAttribute('aria-label')), unnamed, broken, wide, width: innerWidth, tables}).replace(/</g, '\\\\u003c');
  document.body.append(out);
});
</script>"""


class Parsed(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.open, self.text = [], None, {}

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        for name in ("src", "href"):
            if name in a and not a[name].startswith("data:"):
                self.outside.append(a[name])
        self.open = a.get("id") if tag == "script" else None

    def handle_data(self, data):
        if self.open:
            self.text[self.open] = self.text.get(self.open, "") + data


def close(a, b):
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def check_tables(runs, tables, texts, fault):
    """The tables of figures and series hold what the data hold, group by group."""
    checked = 0
    title = {t["title"]: t for t in texts["each"] + texts["group"]}
    series = {t["title"]: t for t in texts["series"]}
    several = len(runs) > 1
    for table in tables:
        of = title.get(table["title"])
        if of and table["head"][:2] == ["group", "value"]:
            for row in table["rows"]:
                name = row[0].split(": ", 1)[1] if several and ": " in row[0] else row[0]
                found = [g[of["name"]] for r in runs for g in r["groups"] if g["name"] == name and of["name"] in g]
                values = [e["value"] if "value" in e else e["mean"] for e in found]
                if not any(v is None and row[1] == "–" or v is not None and not isinstance(row[1], str) and close(v, row[1]) for v in values):
                    fault(f"the table of {table['title']} says {row[1]} of {row[0]}, the data {values}")
                checked += 1
        of = series.get(table["title"])
        if of:
            for column, name in enumerate(table["head"][1:], 1):
                told = [row[column] for row in table["rows"] if not isinstance(row[column], str)]
                held = [[y for y in g["series"][of["name"]]["y"] if y is not None] for r in runs for g in r["groups"] if g["name"] == name and of["name"] in g["series"]]
                if not any(len(h) == len(told) and all(close(a, b) for a, b in zip(told, h)) for h in held):
                    fault(f"the table of {table['title']} does not hold the series of {name}")
                checked += 1
    losses = [l for r in runs for l in r["losses"]]
    for table in tables:
        for l in losses:
            if table["title"] == "Loss of " + l["stage"] and [row[1] for row in table["rows"]] == l["value"]:
                checked += 1
    return checked


def main():
    p = argparse.ArgumentParser()
    p.add_argument("page", type=pathlib.Path)
    p.add_argument("--browser", default="")
    p.add_argument("--shots", type=pathlib.Path)
    o = p.parse_args()
    text, faults = o.page.read_text(), []
    parsed = Parsed()
    parsed.feed(text)
    runs, texts = json.loads(parsed.text["data"]), json.loads(parsed.text["figures"])
    if parsed.outside:
        faults.append(f"refers to {parsed.outside}")
    beside = o.page.with_suffix(".json")
    if beside.exists() and len(runs) == 1 and json.loads(beside.read_text()) != runs[0]:
        faults.append("does not hold what page.json holds")
    if not o.browser:
        print("\n".join(faults) or f"{o.page}: one file, {len(text)} bytes, {len(runs)} runs; not opened")
        sys.exit(bool(faults))
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "page.html"
        copy.write_text(text.replace("<title>", WATCH + "<title>", 1).replace("</body>", LOOK + "</body>"))
        for width in (390, 1440):
            command = [o.browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
                       f"--window-size={width},1200", "--virtual-time-budget=20000"]
            # A window is no narrower than 500 pixels; a frame of it is as narrow as one likes.
            frame = pathlib.Path(folder) / "frame.html"
            frame.write_text(f"<!DOCTYPE html><body style='margin:0'><iframe id=f src=page.html style='border:0;width:{width}px;height:1200px'></iframe>"
                             "<script>f.onload=()=>setTimeout(()=>{const o=document.createElement('script');o.type='application/json';o.id='looked';"
                             "o.textContent=f.contentDocument.getElementById('looked').textContent;document.body.append(o)},3000)</script>")
            dom = subprocess.run(command + ["--allow-file-access-from-files", "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=240)
            found = Parsed()
            found.feed(dom.stdout)
            if "looked" not in found.text:
                faults.append(f"{width} pixels: the page did not load: {dom.stderr[-300:]}")
                continue
            looked = json.loads(found.text["looked"])
            say = lambda what: faults.append(f"{width} pixels: {what}")
            for fault in looked["faults"]:
                say(fault)
            for name in looked["blank"]:
                say(f"a blank canvas: {name}")
            if looked["unnamed"] or looked["broken"]:
                say(f"{looked['unnamed']} pictures without words, {looked['broken']} that do not show")
            if looked["wide"] > 0:
                say(f"is {looked['wide']} pixels wider than the screen")
            if looked["width"] != width:
                say(f"was shown {looked['width']} pixels wide")
            checked = check_tables(runs, looked["tables"], texts, say)
            if checked == 0 and any(r["groups"] for r in runs):
                say("no table was checked")
            if len(looked["tables"]) != looked["canvases"]:
                say(f"{looked['canvases']} charts and {len(looked['tables'])} tables")
            print(f"{o.page}: {width} pixels, {looked['canvases']} charts, {checked} tables' parts held against the data")
            if o.shots:
                o.shots.mkdir(parents=True, exist_ok=True)
                subprocess.run(command[:-2] + [f"--window-size={max(500, width)},{9000 if width > 500 else 16000}", "--virtual-time-budget=20000",
                               f"--screenshot={o.shots / f'{o.page.stem}-{width}.png'}", (copy if width > 500 else frame).as_uri()], capture_output=True, timeout=240)
    print("\n".join(faults))
    sys.exit(bool(faults))


main()
