"""What the app shows of one assessment: the page, its pictures, forms to fill in, and the letter."""
