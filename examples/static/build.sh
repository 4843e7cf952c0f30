#!/bin/sh
# Builds the site: one page that shows a variable of the build.
set -e
mkdir -p dist/about
sed "s/TITLE/${TITLE:-no title}/" index.html > dist/index.html
echo 'about us' > dist/about/index.html
echo "{\"version\":\"${TITLE:-no title}\"}" > dist/about.json
echo 'body { margin: 2em }' > dist/style.css
