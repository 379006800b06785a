import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { REPOSITORY } from '../src/repository.ts'

const BEGINS_A_TEST = /^ {0,2}(?:await )?t\.test\(/
const WAITS = /\bawait\b/
const IS_TEST = /^ *(?:await )?t\.|\bawait t\.test\(/

/**
 * Where a file waits at its top level, or in a loop or condition there, behind its first test: while nothing is queued tap may end the whole
 * there.
 */
function waitsBetweenTests(text: string): number[] {
  const found: number[] = []
  let begun = false
  // Of the top level's blocks only those of a loop or a condition run there, and of their lines those that stand deeper may be a function's.
  let runs = false
  let begunAhead = false
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\S/.test(line)) runs = /^(?:\} )?(?:for|if|else|while|try)\b/.test(line)
    // What the other branch has begun has not been begun in this one.
    if (/^if\b/.test(line)) begunAhead = begun
    if (/^\} else\b/.test(line)) begun = begunAhead
    const isThere = /^[^\s/*}]/.test(line) || (runs && /^ {2}[^\s/*}]/.test(line))
    if (isThere && begun && WAITS.test(line) && !IS_TEST.test(line) && !/\basync\b/.test(line)) found.push(i + 1)
    begun ||= isThere && BEGINS_A_TEST.test(line)
  }
  return found
}

t.test('no test file waits for anything between two tests', async (t) => {
  let files = 0
  for await (const path of glob('{apps,packages,infra}/*/test/**/*.test.ts', { cwd: REPOSITORY })) {
    if (path.includes('node_modules')) continue
    files++
    t.same(waitsBetweenTests(await readFile(join(REPOSITORY, path), 'utf8')), [], path)
  }
  t.ok(files > 200, `${files} files`)
})

t.test('what is found, and what is not', async (t) => {
  const begun = "t.test('one', () => {})\n"
  t.same(waitsBetweenTests(`const a = await b()\n${begun}`), [])
  t.same(waitsBetweenTests(`${begun}const a = await b()\n`), [2])
  t.same(waitsBetweenTests(`${begun}await t.test('two', async () => {\n  await x()\n})\n`), [])
  t.same(waitsBetweenTests(`${begun}async function f() {\n  await x()\n}\n`), [])
  t.same(waitsBetweenTests(`${begun}await b()\n`), [2])
  const loop = 'for (const one of all) {\n  t.test(one, () => {})\n  const a = await b()\n  t.test(a, () => {})\n}\n'
  t.same(waitsBetweenTests(loop), [3])
  t.same(
    waitsBetweenTests("if (a) {\n  t.test('skipped', {})\n} else {\n  const b = await c()\n  t.test('d', b)\n}\n"),
    []
  )
})
