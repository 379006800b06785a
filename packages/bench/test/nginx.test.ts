import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { NGINX, nginxOrigin } from '../src/gateway/peers/nginx.ts'

test('nginx writes, and deletes, only in the folder of the run, the two of them apart', async (t) => {
  const folder = t.testdir()
  const { args } = await NGINX.configure({ upstream: '127.0.0.1:1', port: 2, folder })
  const configs = [args, await nginxOrigin(folder, [3, 4], '{}')].map((given) => given[given.indexOf('-c') + 1]!)
  const written: string[] = []
  for (const file of configs) {
    const config = await readFile(file, 'utf8')
    const paths = [...config.matchAll(/^\s*(?:pid|\w+_temp_path) (\S+);$/gm)].map(([, path]) => path!)
    t.equal(paths.length, 6)
    written.push(...paths)
  }
  t.ok(written.every((path) => path.startsWith(`${folder}/`)))
  t.equal(new Set(written).size, written.length)
})
