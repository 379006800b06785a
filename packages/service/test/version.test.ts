import { join } from 'node:path'
import t from 'tap'
import { programVersion } from '../src/version.ts'

t.test('the version is that of the nearest package.json', async (t) => {
  const folder = t.testdir({
    app: { 'package.json': '{"name":"x","version":"3.2.1"}', src: { 'main.ts': '' } },
    unnamed: { 'package.json': '{"name":"x"}', 'main.ts': '' }
  })
  t.equal(programVersion(join(folder, 'app/src/main.ts')), '3.2.1')
  t.equal(programVersion(join(folder, 'unnamed/main.ts')), '0.0.0')
})
