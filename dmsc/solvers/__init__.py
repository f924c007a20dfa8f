"""Other papers' ways to C: in closed form, along a path of scales, against anchors."""
