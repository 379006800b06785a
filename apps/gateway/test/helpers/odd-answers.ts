/** What services answer to a WebSocket handshake that is no answer to one; nothing stands for a reset. */
export const ODD_ANSWERS: readonly string[] = [
  'HTTP/1.1 099 x\r\n\r\n',
  'HTTP/1.1 000 x\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.1 101 x\r\n\r\n',
  'HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  'HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.1 600 x\r\ncontent-length: 0\r\n\r\n',
  'HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\nabc',
  'HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  'HTTP/1.1 204 x\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 100 x\r\n\r\n',
  'HTTP/1.1 103 x\r\nlink: x\r\n\r\nHTTP/1.1 099 x\r\n\r\n',
  'HTTP/1.1 400 x\r\nx\0y: 1\r\n\r\n',
  'HTTP/1.1 200 x\r\nlocation: \x80\xff\r\ncontent-length: 0\r\n\r\n',
  'no HTTP at all\r\n\r\n',
  ''
]
