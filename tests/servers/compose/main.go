// Loads compose files as `docker compose config` does, with the code that it is made of, and prints the project as JSON.
// Variables and COMPOSE_PROFILES come from the environment. Needs no engine.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithDefaultProfiles())
	if err == nil {
		var project, failed = options.LoadProject(context.Background())
		if failed == nil {
			var text, _ = json.MarshalIndent(project, "", "  ")
			fmt.Println(string(text))
			return
		}
		err = failed
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
