package main

import "errors"

// restartCases commits offsets before a broker's restart and goes on from them after it.
func restartCases(phase string) {
	const where, group = "restart-franz", "restart-franz"
	feature("franz-go, "+phase+" the restart", func() error {
		if phase == "before" {
			a := admin()
			defer a.Close()
			if _, err := a.CreateTopic(ctx, 1, 1, nil, where); err != nil {
				return err
			}
			if err := produce(numbers(where, 10)); err != nil {
				return err
			}
			c := member(where, group)
			defer c.Close()
			got, err := take(c, 10)
			if err != nil {
				return err
			}
			return c.CommitRecords(ctx, got[:6]...)
		}
		c := member(where, group)
		defer c.Close()
		got, err := take(c, 4)
		return errors.Join(err, eq("values", values(got), []string{"6", "7", "8", "9"}))
	})
}
