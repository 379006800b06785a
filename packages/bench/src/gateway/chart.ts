/** One bar: `columns` are further figures at its end; `strong` ones stand out. */
export type BarRow = { label: string; value: number; columns: readonly string[]; strong: boolean }

export type BarChart = {
  title: string
  /** Heads of the further figures. */
  columns: readonly string[]
  rows: readonly BarRow[]
  /** Small lines below. */
  notes: readonly string[]
}

const WIDTH = 860
const MARGIN = 20
const ROW = 28
const BAR = 16
const LABELS = 300
const COLUMN = 64
const TOP = 78
const NOTE = 18

/** The colours follow the reader's light or dark mode, also where the file is shown as an image. */
const STYLE = `
  :root { color-scheme: light dark }
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .dim { font-size: 12px; fill: #59636e }
  .end { text-anchor: end }
  .strong { font-weight: 600 }
  .page { fill: #ffffff }
  rect.bar { fill: #afb8c1 }
  rect.bar.strong { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .dim { fill: #9198a1 }
    .page { fill: #0d1117 }
    rect.bar { fill: #59636e }
    rect.bar.strong { fill: #4493f8 }
  }`

/** A bar chart as an SVG document, bars from the left, in the order of the rows. */
export function barChart({ title, columns, rows, notes }: BarChart): string {
  const height = TOP + rows.length * ROW + MARGIN / 2 + notes.length * NOTE + MARGIN
  const columnEnd = (index: number) => WIDTH - MARGIN - (columns.length - 1 - index) * COLUMN
  // Room for the value at the end of the longest bar.
  const longest = WIDTH - MARGIN - columns.length * COLUMN - LABELS - 52
  const highest = Math.max(...rows.map(({ value }) => value), Number.MIN_VALUE)
  const heads = columns.map((head, index) => text(columnEnd(index), TOP - 16, 'dim end', head))
  const bars = rows.flatMap(({ label, value, columns: cells, strong }, index) => {
    const y = TOP + index * ROW
    const base = y + BAR - 3
    const kind = strong ? ' strong' : ''
    const width = Math.max(1, (value / highest) * longest)
    return [
      text(LABELS - 10, base, `end${kind}`, label),
      `<rect class="bar${kind}" x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>`,
      text(LABELS + width + 6, base, kind.trim(), value.toFixed(0)),
      ...cells.map((cell, column) => text(columnEnd(column), base, 'dim end', cell))
    ]
  })
  const below = TOP + rows.length * ROW + MARGIN
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    text(MARGIN, MARGIN + 14, 'title', title),
    ...heads,
    ...bars,
    ...notes.map((note, index) => text(MARGIN, below + index * NOTE, 'dim', note)),
    '</svg>\n'
  ].join('\n')
}

function text(x: number, y: number, kind: string, content: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" class="${kind}">${escapeXml(content)}</text>`
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
