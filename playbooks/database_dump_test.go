package playbooks

import (
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRowsOfMariaDB counts the rows of a dump in each of its layouts.
func TestRowsOfMariaDB(t *testing.T) {
	t.Parallel()
	const begin, end = "CREATE TABLE `a``b` (\n  `n` int\n);\nCREATE TABLE `empty` (\n  `n` int\n);\n", "\n-- Dump completed on 2026-11-30\n"
	for name, c := range map[string]struct{ text, call, want string }{
		"a row a line":                      {"INSERT INTO `a``b` VALUES\n(1,'x'),\n(2,'INSERT INTO `empty` VALUES'),\n(3,');');\nINSERT INTO `a``b` VALUES\n(4,'');\n", "", "{'a`b': 4, 'empty': 0}"},
		"all rows on a line":                {"INSERT INTO `a``b` VALUES (1,'x'),(2,'y');\n", "", "None"},
		"a statement a row":                 {"INSERT INTO `a``b` VALUES (1,'x');\nINSERT INTO `a``b` VALUES (2,'),(');\n", ", alone=True", "{'a`b': 2, 'empty': 0}"},
		"a statement a row, over two lines": {"INSERT INTO `a``b` VALUES\n(1,'x');\nINSERT INTO `a``b` VALUES\n(2,'y');\n", ", alone=True", "{'a`b': 2, 'empty': 0}"},
		"cut short":                         {"INSERT INTO `a``b` VALUES\n(1,'x'),\n", "", "the dump of sp_shop has no end"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dump")
			f, err := os.Create(path)
			must(t, err)
			z := gzip.NewWriter(f)
			_, err = z.Write([]byte(begin + c.text + end))
			must(t, err)
			must(t, z.Close())
			must(t, f.Close())
			program := "SPEC = {'app': 'web', 'slot': 'a', 'role': 'sp_shop'}\n" + stepText(t, "database_dump", "\n\nmain()") + "\nprint(count_mariadb('" + path + "'" + c.call + "))\n"
			out, _ := exec.Command("/usr/bin/python3", "-c", program).CombinedOutput()
			if !strings.Contains(string(out), c.want) {
				t.Errorf("it says %s, want %s", out, c.want)
			}
		})
	}
}
