/**
 * The people and things that the examples in schemas are about, so that all of them tell one story: Ada signs up and publishes a post; Bob
 * follows her and comments on it. They are only shown in documents.
 */
export const EXAMPLE_IDS = {
  /** Of whatever declares no example of its own. */
  any: '06b1n7v4kc0j5m3q8w2x9y6z1a',
  ada: '06b1n7v4kc0j5a2d4f6h8k0m2p',
  bob: '06b1n8c2qd4r7t9v1x3z5a6c8e',
  session: '06b1n7v5m20j5s8s0n1a3c5e7g',
  post: '06b1nmk3f80j5w2m4p6r8s0t2v',
  image: '06b1nk2a4c0j5k6m8p0q2s4v6x',
  comment: '06b1npa7g20d5x9y1b3d5f7h9k',
  notification: '06b1npa8h40j5n7p9r1t3w5y7z',
  export: '06b2h3j5k70j5m8n0q2r4t6w8y',
  run: '06b2h3j6a10c5d7e9f1g3h5j7k',
  deletion: '06b2k4m6n80d5p7q9s1v3x5z7b'
} as const

/** When it happened, in order. */
export const EXAMPLE_TIMES = {
  signedUp: '2026-01-31T09:30:00.000Z',
  followed: '2026-01-31T09:41:12.305Z',
  posted: '2026-01-31T10:02:45.118Z',
  edited: '2026-01-31T10:05:03.940Z',
  commented: '2026-01-31T10:17:26.552Z',
  exportRequested: '2026-02-14T18:20:00.000Z',
  exportReady: '2026-02-14T18:20:04.211Z',
  exportExpires: '2026-02-21T18:20:04.211Z',
  deletionRequested: '2026-03-01T07:15:30.000Z',
  deletionDone: '2026-03-01T07:15:32.486Z'
} as const

export const EXAMPLE_TEXTS = {
  bio: 'I photograph lighthouses and write about the sea.',
  title: 'The ferry to Utö',
  summary: 'Two hours over the outer archipelago, with photographs.',
  text: 'We left the harbour at six, and the sea was as flat as a mirror.',
  comment: 'What a view! Which ferry did you take?',
  pictureUrl: 'https://api.example.com/media/06b1nk2a4c0j5k6m8p0q2s4v6x.webp',
  cursor: 'eyJhIjoiMDZiMW5tazNmODBqNXcybTRwNnI4czB0MnYifQ',
  userAgent: 'SkerrySDK/0.1 (iOS 19.2; iPhone17,1)',
  requestId: '06b1nmk3f9v4c2x0z8a6s4d2f0',
  etag: '"4.mJ2xPqLr8sTd1vWe"',
  messageId: '9f3a-1042',
  /** One message over SSE. */
  stream: 'id: 9f3a-1042\nevent: post.liked\ndata: {"postId":"06b1nmk3f80j5w2m4p6r8s0t2v"}\n\n'
} as const
