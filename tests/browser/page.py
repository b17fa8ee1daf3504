"""The sandbox's page as a person uses it."""

from __future__ import annotations

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 20


class Page:
    """One browser with the sandbox EHR open."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def choose(self, name: str) -> None:
        """Choose a patient."""
        self.driver.find_element(By.ID, f"choose-{name}").click()
        self.wait_for("#order-form")

    def sign(self) -> None:
        """Sign the order, and wait for the answer."""
        former = self.all(".answer")
        self.driver.find_element(By.ID, "sign").click()
        WebDriverWait(self.driver, SECONDS).until(
            lambda _: (now := self.all(".answer, #answer > .problem")) and now != former
        )

    def all(self, selector: str) -> list[WebElement]:
        """Find all elements."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait_for(self, selector: str) -> WebElement:
        """Wait until an element is there."""
        found: WebElement = WebDriverWait(self.driver, SECONDS).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, selector)
        )
        return found

    def summaries(self) -> list[str]:
        """Read the cards' summaries."""
        return [heading.text for heading in self.all(".card h3")]

    def card(self, words: str) -> WebElement:
        """Find the card whose summary holds these words."""
        found = [card for card in self.all(".card") if words in card.find_element(By.TAG_NAME, "h3").text]
        assert found, f"no card says {words!r}; there are {self.summaries()}"
        return found[0]

    def press(self, element: WebElement) -> None:
        """Bring an element into view and click it."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def lines(self) -> list[str]:
        """Read the codes of the order's lines."""
        return [str(row.get_attribute("data-line")) for row in self.all("[data-line]")]

    def complaints(self) -> list[str]:
        """List what the browser's console complains about: errors, and what the page's policy refused."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
