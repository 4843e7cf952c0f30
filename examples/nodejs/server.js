// A stateless app that says which backend served. Not for production: /env
// and /slow exist so that the tests can look inside.
const crypto = require('node:crypto')
const express = require('express')
const built = require('./built.json')

const app = express()
const about = () => ({
  server: process.env.SERVERPLANE_SERVER,
  release: process.env.SERVERPLANE_RELEASE,
  version: process.env.APP_VERSION ?? 'none',
  pid: process.pid,
  built,
})

const digest = (data) => crypto.createHash('sha256').update(data).digest('hex')

app.get('/', (req, res) => res.json(about()))
app.post('/', express.raw({ type: () => true, limit: '2mb' }), (req, res) => {
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0) // none was sent
  res.json({ ...about(), length: body.length, sha256: digest(body) })
})

// What the process really sees of one variable, as a digest: values are secrets.
app.get('/env/:name', (req, res) => {
  const value = process.env[req.params.name]
  if (value === undefined) return res.status(404).json({ error: 'not set' })
  res.json({ sha256: digest(value), bytes: Buffer.byteLength(value) })
})

app.get('/headers', (req, res) => res.json(req.headers))
app.get('/slow', (req, res) => setTimeout(() => res.json(about()), Number(req.query.ms ?? 3000)))

const server = app.listen(Number(process.env.PORT), process.env.HOST, () => {
  console.log(`listening on ${process.env.HOST}:${process.env.PORT}`)
})
process.on('SIGTERM', () => server.close(() => process.exit(0)))
