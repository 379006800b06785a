import t from 'tap'
import { figureFiles, fullFigures, type Results, readResults, shortFigures, withFigures } from '../src/figures.ts'

t.test('the figures in the documents are those of the results: else run `npm run bench -- figures`', async (t) => {
  const files = await figureFiles()
  t.same(
    files.map(({ path }) => path),
    ['docs/figures.md', 'README.md']
  )
  for (const { path, before, after } of files) t.equal(before, after, path)
})

t.test('a result that changes changes both tables', async (t) => {
  const kept = await readResults()
  const other = { ...kept, system: { ...kept.system, memoryMb: 4321 } }
  for (const render of [fullFigures, shortFigures]) {
    t.notMatch(render(kept), /4321/)
    t.match(render(other), /\| memory of the whole system \(PSS\) \| 4321 MB \|/)
  }
})

t.test('what was not measured says why, and every row has the columns of its head', async (t) => {
  const kept = await readResults()
  const gateway = { ...kept.gateway, rows: [{ id: 'envoy', label: 'Envoy', why: 'it is not | there' }] }
  const text = fullFigures({ ...kept, gateway } as Results)
  t.match(text, /\| Envoy \| not measured: it is not \\\| there \|/)
  const tables = fullFigures(kept)
    .split('\n\n')
    .filter((part) => part.startsWith('|'))
  t.ok(tables.length > 1, 'there are tables')
  for (const table of tables) {
    const columns = table.split('\n').map((line) => line.split('|').length)
    t.same(new Set(columns).size, 1, table)
  }
})

t.test('a text without its markers is refused', async (t) => {
  const begin = '<!-- figures: written by `npm run bench -- figures` -->'
  t.equal(withFigures(`a ${begin} old <!-- /figures --> b`, 'new'), `a ${begin}\n\nnew\n\n<!-- /figures --> b`)
  for (const bad of ['', `${begin} x`, `<!-- /figures --> ${begin}`, `${begin}${begin}<!-- /figures -->`])
    t.throws(() => withFigures(bad, 'new'), /needs <!-- figures/, bad)
})
