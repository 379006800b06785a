import { execFile } from 'node:child_process'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fetchBinary, StartError, type WheelSource } from '@skerry/stores'
import { binCache, missingCommand } from '@skerry/testing'

const run = promisify(execFile)

const SHA256 = 'e6305fbbf91aa41b3b7fcd8bf2124880ab0bb9e32efad95b3dfe71f9313d856c'
const GENERATOR: WheelSource = {
  name: 'openapi-generator.jar',
  wheel: {
    package: 'openapi-generator-cli',
    version: '7.26.0',
    member: 'openapi_generator_cli/openapi-generator.jar',
    megabytes: 30,
    sha256: { x64: SHA256, arm64: SHA256 }
  }
}

/** Where the generator and what Maven fetches are kept, beside the binaries of the stores. */
export const CACHE = join(binCache(), '../openapi-generator')

/** The generators that people use for phones and web apps, with the options that the test needs. */
export const GENERATORS = {
  kotlin: {},
  swift6: {},
  dart: {},
  'typescript-fetch': { importFileExtension: '.js' }
} as const

/** The generator's jar, fetched once; `missing` says what it lacks and how to get it. */
export async function findGenerator(): Promise<{ jar: string; missing?: undefined } | { missing: string }> {
  const missing =
    (await missingCommand('java', 'openjdk-17-jre-headless')) ?? (await missingCommand('python3', 'python3-pip'))
  if (missing !== undefined) return { missing }
  const jar = join(CACHE, `openapi-generator-${GENERATOR.wheel.version}.jar`)
  try {
    await access(jar)
  } catch {
    try {
      await fetchBinary(GENERATOR, jar, (line) => process.stderr.write(`# ${line}\n`))
    } catch (error) {
      if (!(error instanceof StartError)) throw error
      return { missing: `the OpenAPI generator could not be fetched: ${error.message}` }
    }
  }
  return { jar }
}

/**
 * Generates all clients of an OpenAPI document into folders named like their generators, in one process. Throws with what the generator
 * says when it fails.
 *
 * @returns what the generator warns of
 */
export async function generateClients(jar: string, document: string, folder: string): Promise<string[]> {
  const input = join(folder, 'openapi.json')
  await mkdir(folder, { recursive: true })
  await writeFile(input, document)
  const configs = await Promise.all(
    Object.entries(GENERATORS).map(async ([generatorName, additionalProperties]) => {
      const config = join(folder, `${generatorName}.config.json`)
      const globalProperties = { apiDocs: 'false', modelDocs: 'false', apiTests: 'false', modelTests: 'false' }
      const outputDir = join(folder, generatorName)
      const options = { generatorName, inputSpec: input, outputDir, globalProperties, additionalProperties }
      await writeFile(config, JSON.stringify(options))
      return config
    })
  )
  // It lives for seconds: optimised code and a parallel collector would only cost.
  const java = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-jar', jar]
  const command = [...java, 'batch', '--threads', '1', '--fail-fast', ...configs]
  const { stdout, stderr } = await run('java', command, { maxBuffer: 64 << 20 }).catch((error) => {
    throw new Error(`the OpenAPI generator failed:\n${error.stdout}${error.stderr}`, { cause: error })
  })
  return `${stdout}${stderr}`.split('\n').filter((line) => /\b(WARN|ERROR)\b/.test(line))
}
